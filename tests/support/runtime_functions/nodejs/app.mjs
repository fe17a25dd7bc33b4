import fs from 'node:fs';

if (process.env.FAIL_INIT) throw new RangeError('no start');
await new Promise((resolve) => setTimeout(resolve, 1000 * Number(process.env.SLOW_INIT_S ?? 0)));

class QuotaExceeded extends Error {
  name = 'QuotaExceeded';
}

export const handler = async (event, context) => {
  switch (event.do) {
    case 'raise':
      return event.missing.property;
    case 'custom':
      throw new QuotaExceeded('no more');
    case 'sleep':
      await new Promise((resolve) => setTimeout(resolve, 1000 * event.seconds));
      break;
    case 'exit':
      process.exit(event.code);
    case 'grow': {
      const held = [];
      for (;;) held.push(Buffer.alloc(8 << 20, 'x'));
    }
    case 'context':
      return {
        stage: process.env.STAGE,
        region: process.env.AWS_REGION,
        name: context.functionName,
        version: context.functionVersion,
        memory: Number(context.memoryLimitInMB),
        request_id: context.awsRequestId,
        arn: context.invokedFunctionArn,
        remaining_ms: context.getRemainingTimeInMillis(),
      };
    case 'tmp': {
      const count = fs.existsSync('/tmp/count') ? Number(fs.readFileSync('/tmp/count', 'utf8')) + 1 : 1;
      fs.writeFileSync('/tmp/count', String(count));
      return count;
    }
  }
  return event;
};
