// Starts AWS's runtime client inside a sandbox; lies at /var/runtime/bootstrap.mjs.
//
// The client is the npm package aws-lambda-ric, untouched. Its one native part, which talks to the Runtime API, would
// need a compiler, cmake and libcurl on every host; transport.cjs takes its place.

import Module, { createRequire } from 'node:module';

const NATIVE = './rapid-client.node';
const transport = createRequire(import.meta.url)('./transport.cjs');

const load = Module._load;
Module._load = (request, ...rest) => (request === NATIVE ? transport : load.call(Module, request, ...rest));
const { run } = await import('./dist/index.mjs');
// It has asked for its native part when this returns: the function's own modules load as they always do.
const running = run(process.env.LAMBDA_TASK_ROOT, process.argv[2]);
Module._load = load;
await running;
