// Boots Node.js and AWS's runtime client with nothing of a function's, and becomes a function once it is told which; lies
// at /var/runtime/cell.mjs.
//
// It asks the Runtime API's address for its function; the answer is the function's environment. From then on it is what
// bootstrap.mjs beside it makes of a fresh process.

import net from 'node:net';
import v8 from 'node:v8';

// The client's functions are compiled now, and not when a function's first request calls them.
v8.setFlagsFromString('--no-lazy');
const { start, transport } = await import('./start.mjs');
v8.setFlagsFromString('--lazy');
// What the client and most functions load first of all. Built-in modules: a function's own can't be meant.
for (const name of ['http', 'https', 'crypto', 'stream', 'zlib', 'util', 'path', 'fs/promises']) await import(`node:${name}`);

await transport.rehearse();
read(Buffer.from('HTTP/1.1 200 OK\r\n\r\nA=1\0B=2\0'));

const environment = await ask();
for (const name of Object.keys(process.env)) if (!environment.has(name)) delete process.env[name];
for (const [name, value] of environment) if (process.env[name] !== value) process.env[name] = value;
process.argv.splice(1, Infinity, process.argv[1].replace(/cell\.mjs$/, 'bootstrap.mjs'), process.env._HANDLER);
process.chdir(process.env.LAMBDA_TASK_ROOT); // the package lies on top of where we were
await start(process.env.LAMBDA_TASK_ROOT, process.env._HANDLER);

// Waits, for as long as it takes, to be told which function it is.
function ask() {
  return new Promise((resolve) => {
    const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
    const chunks = [];
    const link = net.connect({ host, port: Number(port), noDelay: true });
    link.on('error', () => process.exit(0));
    link.on('data', (chunk) => chunks.push(chunk));
    link.on('end', () => resolve(read(Buffer.concat(chunks)) ?? process.exit(0)));
    link.write('GET /hearth/cell HTTP/1.1\r\nHost: sandbox\r\n\r\n');
  });
}

// The environment in an answer; undefined: it is none.
function read(answer) {
  const end = answer.indexOf('\r\n\r\n');
  if (!answer.toString('latin1', 0, Math.max(end, 0)).startsWith('HTTP/1.1 200 ')) return undefined;
  const items = answer.toString('utf8', end + 4).split('\0').filter((item) => item);
  return new Map(items.map((item) => [item.slice(0, item.indexOf('=')), item.slice(item.indexOf('=') + 1)]));
}
