using System;
using System.Collections.Generic;
using System.IO;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;
using Amazon.Lambda.Core;

namespace Example
{
    public class QuotaExceeded : Exception
    {
        public QuotaExceeded(string message) : base(message) { }
    }

    public class Order
    {
        public string Item { get; set; }
        public int Count { get; set; }
    }

    public class Function
    {
        public Function()
        {
            if (Environment.GetEnvironmentVariable("FAIL_INIT") != null) throw new ArgumentException("no start");
            var slow = Environment.GetEnvironmentVariable("SLOW_INIT_S");
            if (slow != null) Thread.Sleep(TimeSpan.FromSeconds(double.Parse(slow)));
        }

        public object Handle(Dictionary<string, object> given, ILambdaContext context)
        {
            switch ((string)given["do"])
            {
                case "raise":
                    return given["missing"];
                case "custom":
                    throw new QuotaExceeded("no more");
                case "sleep":
                    Thread.Sleep(TimeSpan.FromSeconds(Convert.ToDouble(given["seconds"])));
                    break;
                case "exit":
                    Environment.Exit(Convert.ToInt32(given["code"]));
                    break;
                case "grow":
                    while (true) Fill(Marshal.AllocHGlobal(8 << 20), 8 << 20);
                case "context":
                    return Fields(context);
                case "tmp":
                    var count = File.Exists("/tmp/count") ? int.Parse(File.ReadAllText("/tmp/count")) + 1 : 1;
                    File.WriteAllText("/tmp/count", count.ToString());
                    return count;
            }
            return given;
        }

        public async Task<Order> Twice(Order order, ILambdaContext context)
        {
            await Task.Delay(1);
            context.Logger.LogLine("from the logger");
            return new Order { Item = order.Item, Count = 2 * order.Count };
        }

        public static Stream Same(Stream given)
        {
            return given;
        }

        static void Fill(IntPtr block, int size)
        {
            for (var at = 0; at < size; at += 4096) Marshal.WriteByte(block, at, 1);
        }

        static Dictionary<string, object> Fields(ILambdaContext context)
        {
            return new Dictionary<string, object>
            {
                { "stage", Environment.GetEnvironmentVariable("STAGE") },
                { "region", Environment.GetEnvironmentVariable("AWS_REGION") },
                { "name", context.FunctionName },
                { "version", context.FunctionVersion },
                { "memory", context.MemoryLimitInMB },
                { "request_id", context.AwsRequestId },
                { "arn", context.InvokedFunctionArn },
                { "remaining_ms", context.RemainingTime.TotalMilliseconds },
            };
        }
    }
}
