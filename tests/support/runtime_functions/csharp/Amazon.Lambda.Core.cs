// What a C# package brings along of AWS's Amazon.Lambda.Core, as far as the function uses it: that library is on NuGet,
// which a test host need not reach. The runtime client knows it by these names alone.
using System;

namespace Amazon.Lambda.Core
{
    public interface ILambdaContext
    {
        string AwsRequestId { get; }
        string FunctionName { get; }
        string FunctionVersion { get; }
        string InvokedFunctionArn { get; }
        int MemoryLimitInMB { get; }
        TimeSpan RemainingTime { get; }
        ILambdaLogger Logger { get; }
    }

    public interface ILambdaLogger
    {
        void LogLine(string message);
    }
}
