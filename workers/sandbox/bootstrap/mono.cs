// A runtime client for C# functions on Mono, compiled when the runtime is prepared; lies at /var/runtime/bootstrap.exe.
//
// Handler: Assembly::Namespace.Class::Method, with no parameter, an event, a context, or both; a Stream is passed as it
// is. The interfaces are those of the package's own Amazon.Lambda.Core: its serializer attribute is honoured, its context
// is proxied by name, so this client depends on no package.
// Source: Lambda Developer Guide, "Define Lambda function handler in C#".

using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Net;
using System.Reflection;
using System.Runtime.Remoting.Messaging;
using System.Runtime.Remoting.Proxies;
using System.Text;
using System.Threading.Tasks;
using System.Web.Script.Serialization;

static class Bootstrap
{
    static readonly string TaskRoot = Environment.GetEnvironmentVariable("LAMBDA_TASK_ROOT");

    static int Main(string[] arguments)
    {
        AppDomain.CurrentDomain.AssemblyResolve += (_, wanted) => FromPackage(new AssemblyName(wanted.Name).Name);
        var api = new RuntimeApi();
        Handler handler;
        try
        {
            handler = new Handler(arguments[0]);
        }
        catch (Exception error)
        {
            api.Failed("init/error", error);
            return 1;
        }
        while (true) Serve(api, handler);
    }

    static void Serve(RuntimeApi api, Handler handler)
    {
        var invocation = api.Next();
        try
        {
            api.Answer(invocation, handler.Run(invocation));
        }
        catch (Exception error)
        {
            api.Failed("invocation/" + invocation.RequestId + "/error", error);
        }
    }

    public static Assembly FromPackage(string name)
    {
        var path = Path.Combine(TaskRoot, name + ".dll");
        return File.Exists(path) ? Assembly.LoadFrom(path) : null;
    }
}

class Invocation
{
    public string RequestId, Arn;
    public DateTime Deadline;
    public byte[] Event;
}

class RuntimeApi
{
    readonly string root = "http://" + Environment.GetEnvironmentVariable("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/";

    public RuntimeApi()
    {
        ServicePointManager.Expect100Continue = false;
        ServicePointManager.UseNagleAlgorithm = false;
    }

    public Invocation Next()
    {
        using (var answer = Request("invocation/next", "GET").GetResponse())
        {
            var headers = answer.Headers;
            Environment.SetEnvironmentVariable("_X_AMZN_TRACE_ID", headers["Lambda-Runtime-Trace-Id"]);
            var deadline = long.Parse(headers["Lambda-Runtime-Deadline-Ms"]);
            return new Invocation
            {
                RequestId = headers["Lambda-Runtime-Aws-Request-Id"],
                Arn = headers["Lambda-Runtime-Invoked-Function-Arn"],
                Deadline = new DateTime(1970, 1, 1, 0, 0, 0, DateTimeKind.Utc).AddMilliseconds(deadline),
                Event = All(answer.GetResponseStream()),
            };
        }
    }

    public void Answer(Invocation invocation, byte[] result)
    {
        Post("invocation/" + invocation.RequestId + "/response", result, null);
    }

    public void Failed(string path, Exception error)
    {
        var inner = error is TargetInvocationException && error.InnerException != null ? error.InnerException : error;
        Console.Error.WriteLine(inner);
        var text = new JavaScriptSerializer().Serialize(Document(inner));
        Post(path, Encoding.UTF8.GetBytes(text), inner.GetType().Name);
    }

    static Dictionary<string, object> Document(Exception error)
    {
        var document = new Dictionary<string, object>
        {
            { "errorType", error.GetType().Name },
            { "errorMessage", error.Message },
            { "stackTrace", (error.StackTrace ?? "").Split(new[] { '\n' }, StringSplitOptions.RemoveEmptyEntries) },
        };
        if (error.InnerException != null) document["cause"] = Document(error.InnerException);
        return document;
    }

    void Post(string path, byte[] body, string errorType)
    {
        var request = Request(path, "POST");
        request.ContentType = "application/json";
        request.ContentLength = body.Length;
        if (errorType != null) request.Headers["Lambda-Runtime-Function-Error-Type"] = errorType;
        using (var stream = request.GetRequestStream()) stream.Write(body, 0, body.Length);
        try
        {
            using (var answer = request.GetResponse()) All(answer.GetResponseStream());
        }
        catch (WebException error) when (error.Response != null)
        {
            // Too large, as a rule: the platform has told the caller.
            using (error.Response) All(error.Response.GetResponseStream());
        }
    }

    HttpWebRequest Request(string path, string method)
    {
        var request = (HttpWebRequest)WebRequest.Create(root + path);
        request.Method = method;
        request.Proxy = null;
        // The sandbox may be frozen in the middle of it.
        request.Timeout = request.ReadWriteTimeout = System.Threading.Timeout.Infinite;
        return request;
    }

    static byte[] All(Stream stream)
    {
        using (var whole = new MemoryStream())
        {
            stream.CopyTo(whole);
            return whole.ToArray();
        }
    }
}

class Handler
{
    readonly MethodInfo method;
    readonly object target;
    readonly object serializer;

    public Handler(string name)
    {
        var parts = name.Split(new[] { "::" }, StringSplitOptions.None);
        if (parts.Length != 3) throw new ArgumentException("Bad handler '" + name + "': Assembly::Namespace.Class::Method is expected.");
        var assembly = Bootstrap.FromPackage(parts[0]);
        if (assembly == null) throw new FileNotFoundException("Could not find the specified handler assembly '" + parts[0] + "'.");
        var type = assembly.GetType(parts[1]);
        if (type == null) throw new TypeLoadException("Unable to load type '" + parts[1] + "' from assembly '" + parts[0] + "'.");
        method = type.GetMethods().FirstOrDefault(one => one.Name == parts[2]);
        if (method == null) throw new MissingMethodException("Unable to find method '" + parts[2] + "' in type '" + parts[1] + "'.");
        serializer = SerializerOf(method.GetCustomAttributes(false)) ?? SerializerOf(assembly.GetCustomAttributes(false));
        target = method.IsStatic ? null : Activator.CreateInstance(type);
    }

    public byte[] Run(Invocation invocation)
    {
        var given = method.GetParameters().Select(one => Argument(one.ParameterType, invocation)).ToArray();
        var result = method.Invoke(target, given);
        var type = method.ReturnType;
        if (result is Task)
        {
            ((Task)result).GetAwaiter().GetResult();
            type = type.IsGenericType ? type.GetGenericArguments()[0] : typeof(void);
            result = type == typeof(void) ? null : result.GetType().GetProperty("Result").GetValue(result);
        }
        return type == typeof(void) ? Encoding.UTF8.GetBytes("null") : Bytes(type, result);
    }

    static object SerializerOf(object[] attributes)
    {
        var found = attributes.FirstOrDefault(one => one.GetType().FullName == "Amazon.Lambda.Core.LambdaSerializerAttribute");
        return found == null ? null : Activator.CreateInstance((Type)found.GetType().GetProperty("SerializerType").GetValue(found));
    }

    object Argument(Type type, Invocation invocation)
    {
        if (type.FullName == "Amazon.Lambda.Core.ILambdaContext") return new Proxy(type, new Context(invocation)).GetTransparentProxy();
        if (type == typeof(Stream)) return new MemoryStream(invocation.Event);
        if (serializer != null) return Generic("Deserialize", type, new MemoryStream(invocation.Event));
        return Json().Deserialize(Encoding.UTF8.GetString(invocation.Event), type);
    }

    byte[] Bytes(Type type, object result)
    {
        using (var whole = new MemoryStream())
        {
            if (result is Stream) ((Stream)result).CopyTo(whole);
            else if (serializer != null) Generic("Serialize", type, result, whole);
            else return Encoding.UTF8.GetBytes(Json().Serialize(result));
            return whole.ToArray();
        }
    }

    object Generic(string name, Type type, params object[] given)
    {
        return serializer.GetType().GetMethods().First(one => one.Name == name && one.IsGenericMethod)
            .MakeGenericMethod(type).Invoke(serializer, given);
    }

    static JavaScriptSerializer Json()
    {
        return new JavaScriptSerializer { MaxJsonLength = int.MaxValue };
    }
}

/// What ILambdaContext and ILambdaLogger ask for, by name.
class Context
{
    readonly Invocation invocation;

    public Context(Invocation invocation)
    {
        this.invocation = invocation;
    }

    public string AwsRequestId { get { return invocation.RequestId; } }
    public string InvokedFunctionArn { get { return invocation.Arn; } }
    public string FunctionName { get { return Variable("FUNCTION_NAME"); } }
    public string FunctionVersion { get { return Variable("FUNCTION_VERSION"); } }
    public string LogGroupName { get { return Variable("LOG_GROUP_NAME"); } }
    public string LogStreamName { get { return Variable("LOG_STREAM_NAME"); } }
    public int MemoryLimitInMB { get { return int.Parse(Variable("FUNCTION_MEMORY_SIZE")); } }
    public TimeSpan RemainingTime { get { return invocation.Deadline - DateTime.UtcNow; } }
    public Logger Logger { get { return new Logger(); } }

    static string Variable(string name)
    {
        return Environment.GetEnvironmentVariable("AWS_LAMBDA_" + name);
    }
}

class Logger
{
    public void Log(string message) { Console.Write(message); }
    public void LogLine(string message) { Console.WriteLine(message); }
    public void LogInformation(string message) { Console.WriteLine(message); }
    public void LogWarning(string message) { Console.WriteLine(message); }
    public void LogError(string message) { Console.WriteLine(message); }
}

/// An object of an interface that is known only at run time. What `real` has not is null.
class Proxy : RealProxy
{
    readonly object real;

    public Proxy(Type type, object real) : base(type)
    {
        this.real = real;
    }

    public override IMessage Invoke(IMessage message)
    {
        var call = (IMethodCallMessage)message;
        var types = call.MethodBase.GetParameters().Select(one => one.ParameterType).ToArray();
        var method = real.GetType().GetMethod(call.MethodName, types);
        var result = method == null ? null : method.Invoke(real, call.Args);
        var wanted = ((MethodInfo)call.MethodBase).ReturnType;
        if (result is Logger && wanted.IsInterface) result = new Proxy(wanted, result).GetTransparentProxy();
        return new ReturnMessage(result, null, 0, call.LogicalCallContext, call);
    }
}
