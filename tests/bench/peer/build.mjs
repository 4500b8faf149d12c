// One minified file per function, as AWS recommends for Node: nothing is looked up on disk at a cold start.
import { rm, symlink } from 'node:fs/promises';
import { build } from 'esbuild';

await rm('dist', { recursive: true, force: true });
await build({
  entryPoints: ['execute.mjs', 'refresh.mjs'],
  outdir: 'dist',
  outExtension: { '.js': '.mjs' },
  bundle: true,
  minify: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  // Lets unused parts of the AWS SDK go.
  mainFields: ['module', 'main'],
  // HubSpot's client is CommonJS, and requires modules of Node's.
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  logLevel: 'info',
});

// What runs them, by its full path.
await symlink(process.execPath, 'dist/node');
