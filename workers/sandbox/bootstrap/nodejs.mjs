// Starts a function with AWS's runtime client inside a sandbox; lies at /var/runtime/bootstrap.mjs.

import { start } from './start.mjs';

await start(process.env.LAMBDA_TASK_ROOT, process.argv[2]);
