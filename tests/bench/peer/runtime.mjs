// The loop of Lambda's runtime interface client: fetch an invocation, hand it over, send the answer.
import http from 'node:http';

const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');

function call(method, path, body) {
  return new Promise((resolve, reject) => {
    const json = { 'content-type': 'application/json' };
    const headers = body === undefined ? {} : { ...json, 'content-length': Buffer.byteLength(body) };
    const options = { agent, host, port, method, headers, path: `/2018-06-01/runtime/invocation/${path}` };
    const request = http.request(options, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => resolve({ headers: response.headers, body: Buffer.concat(chunks).toString('utf8') }));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

export async function run(handler) {
  for (;;) {
    const { headers, body } = await call('GET', 'next');
    const id = headers['lambda-runtime-aws-request-id'];
    const context = { awsRequestId: id, deadline: Number(headers['lambda-runtime-deadline-ms']) };
    let answer;
    try {
      answer = ['response', JSON.stringify(await handler(JSON.parse(body), context))];
    } catch (error) {
      answer = ['error', JSON.stringify({ errorType: error.name, errorMessage: error.message })];
    }
    await call('POST', `${id}/${answer[0]}`, answer[1]);
  }
}
