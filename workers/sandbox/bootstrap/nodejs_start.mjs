// Runs a function with AWS's runtime client; lies at /var/runtime/start.mjs, loaded by bootstrap.mjs and cell.mjs.
//
// The client is the npm package aws-lambda-ric, untouched. Its one native part, which talks to the Runtime API, would
// need a compiler, cmake and libcurl on every host; transport.cjs takes its place.

import Module, { createRequire } from 'node:module';

const NATIVE = './rapid-client.node';
export const transport = createRequire(import.meta.url)('./transport.cjs');
const { run } = await import('./dist/index.mjs');

export async function start(taskRoot, handler) {
  const load = Module._load;
  Module._load = (request, ...rest) => (request === NATIVE ? transport : load.call(Module, request, ...rest));
  // It has asked for its native part when this returns: the function's own modules load as they always do.
  const running = run(taskRoot, handler);
  Module._load = load;
  await running;
}
