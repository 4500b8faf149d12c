// The table `integrations` and the secrets. The layout is that of our functions.
import { ConditionalCheckFailedException, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DynamoDBDocumentClient, QueryCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import { GetSecretValueCommand, PutSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';

const dynamodb = DynamoDBDocumentClient.from(new DynamoDBClient({}));
const secrets = new SecretsManagerClient({});
const TableName = process.env.INTEGRATIONS_TABLE;

/** The account's newest integration: one strongly consistent read. */
export async function newest(accountId) {
  const { Items } = await dynamodb.send(
    new QueryCommand({
      TableName,
      KeyConditionExpression: 'account_id = :account',
      ExpressionAttributeValues: { ':account': accountId },
      ScanIndexForward: false,
      ConsistentRead: true,
      Limit: 1,
    }),
  );
  return Items[0];
}

/** One page of what is due in a shard, the longest waiting first. */
export async function due(shard, now, ExclusiveStartKey) {
  const page = await dynamodb.send(
    new QueryCommand({
      TableName,
      IndexName: 'refresh-due',
      KeyConditionExpression: 'refresh_shard = :shard AND refresh_at <= :now',
      ExpressionAttributeValues: { ':shard': shard, ':now': now },
      ExclusiveStartKey,
      Limit: 500,
    }),
  );
  return { items: page.Items, next: page.LastEvaluatedKey };
}

/**
 * One conditional update of a record; the record as it is then, or undefined where the condition did not hold.
 * `equal` are attributes and what they have to be; `condition` is an expression with `values` of its own.
 */
export async function update(record, { set = {}, remove = [], equal = {}, condition, values = {} }) {
  const names = {};
  const all = { ...values };
  const name = (attribute) => ((names[`#${attribute}`] = attribute), `#${attribute}`);
  const assignments = Object.entries(set).map(([attribute, value]) => {
    all[`:set_${attribute}`] = value;
    return `${name(attribute)} = :set_${attribute}`;
  });
  // A record that came from the index has its keys only.
  const expected = record.integration_id ? { integration_id: record.integration_id, ...equal } : equal;
  const conditions = Object.entries(expected).map(([attribute, value]) => {
    all[`:is_${attribute}`] = value;
    return `${name(attribute)} = :is_${attribute}`;
  });
  if (condition) conditions.push(`(${condition})`);
  const parts = [];
  if (assignments.length) parts.push(`SET ${assignments.join(', ')}`);
  if (remove.length) parts.push(`REMOVE ${remove.map(name).join(', ')}`);
  try {
    const { Attributes } = await dynamodb.send(
      new UpdateCommand({
        TableName,
        Key: { account_id: record.account_id, sequence: record.sequence },
        UpdateExpression: parts.join(' '),
        ConditionExpression: conditions.join(' AND '),
        ExpressionAttributeNames: names,
        ExpressionAttributeValues: all,
        ReturnValues: 'ALL_NEW',
      }),
    );
    return Attributes;
  } catch (error) {
    if (error instanceof ConditionalCheckFailedException) return undefined;
    throw error;
  }
}

/** A secret's text and version: that version, or the current one. */
export async function secret(SecretId, VersionId) {
  const answer = await secrets.send(new GetSecretValueCommand({ SecretId, VersionId }));
  return { version: answer.VersionId, value: JSON.parse(answer.SecretString) };
}

/** Writes a new current version. */
export async function putSecret(SecretId, ClientRequestToken, value) {
  await secrets.send(new PutSecretValueCommand({ SecretId, ClientRequestToken, SecretString: JSON.stringify(value) }));
}
