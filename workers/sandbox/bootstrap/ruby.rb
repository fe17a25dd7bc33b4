# A runtime client for Ruby functions; lies at /var/runtime/bootstrap.rb.
#
# Handler: `file.method` or `file.Module::Class.method`, called with the keywords event and context. Needs nothing beside
# Ruby itself. Source: Lambda Developer Guide, "Define Lambda function handler in Ruby", "Ruby context object".

require 'json'
require 'net/http'

# What a handler is told of its invocation.
class LambdaContext
  attr_reader :aws_request_id, :invoked_function_arn, :deadline_ms, :identity, :client_context,
              :function_name, :function_version, :memory_limit_in_mb, :log_group_name, :log_stream_name

  def initialize(answer)
    @aws_request_id = answer['Lambda-Runtime-Aws-Request-Id']
    @invoked_function_arn = answer['Lambda-Runtime-Invoked-Function-Arn']
    @deadline_ms = answer['Lambda-Runtime-Deadline-Ms'].to_i
    @identity = LambdaContext.parsed(answer['Lambda-Runtime-Cognito-Identity'])
    @client_context = LambdaContext.parsed(answer['Lambda-Runtime-Client-Context'])
    @function_name = ENV['AWS_LAMBDA_FUNCTION_NAME']
    @function_version = ENV['AWS_LAMBDA_FUNCTION_VERSION']
    @memory_limit_in_mb = ENV['AWS_LAMBDA_FUNCTION_MEMORY_SIZE']
    @log_group_name = ENV['AWS_LAMBDA_LOG_GROUP_NAME']
    @log_stream_name = ENV['AWS_LAMBDA_LOG_STREAM_NAME']
  end

  def get_remaining_time_in_millis
    [@deadline_ms - Process.clock_gettime(Process::CLOCK_REALTIME, :millisecond), 0].max
  end

  def self.parsed(text)
    text && !text.empty? ? JSON.parse(text) : nil
  end
end

module HearthRuntime
  # Errors of the function's own making that end its process, as they do on AWS: no memory, an exit, an interrupt.
  FATAL = [NoMemoryError, SystemExit, SignalException, SystemStackError].freeze

  # The Runtime API over one kept connection.
  class Api
    ROOT = '/2018-06-01/runtime/'.freeze

    def initialize(address)
      host, port = address.split(':')
      @http = Net::HTTP.new(host, port.to_i, nil)
      @http.read_timeout = nil # the next event may be long in coming
      @http.max_retries = 0 # nothing is to be posted twice
      @http.keep_alive_timeout = 1 << 30
      @http.start
    end

    def next
      @http.get("#{ROOT}invocation/next")
    end

    def answer(id, body, type)
      @http.post("#{ROOT}invocation/#{id}/response", body, 'Content-Type' => type)
    end

    def failed(path, error, phase)
      type = "#{phase}<#{error.class}>"
      trace = error.backtrace || []
      document = JSON.generate({ errorMessage: error.message.to_s.scrub, errorType: type, stackTrace: trace })
      $stdout.puts(document)
      @http.post(ROOT + path, document, 'Content-Type' => 'application/json',
                                        'Lambda-Runtime-Function-Error-Type' => type)
    end
  end

  # The function's own method.
  class Handler
    def initialize(handler)
      file, *names = handler.split('.')
      raise ArgumentError, "Invalid handler #{handler}, must be of form FILENAME.METHOD or FILENAME.CLASS.METHOD" \
        if names.empty? || names.length > 2

      @method = names.pop.to_sym
      require File.expand_path(file, ENV.fetch('LAMBDA_TASK_ROOT'))
      @receiver = names.empty? ? TOPLEVEL_BINDING.receiver : Kernel.const_get(names.first)
    end

    # The response's body and its type: a stream's bytes as they are, all else as JSON.
    def run(answer)
      event = answer['Content-Type'].to_s.start_with?('application/json') ? JSON.parse(answer.body) : answer.body
      result = @receiver.send(@method, event: event, context: LambdaContext.new(answer))
      return [result.read, 'application/unknown'] if result.respond_to?(:read)

      [JSON.generate(result), 'application/json']
    end
  end

  def self.main(name)
    $stdout.sync = $stderr.sync = true
    api = Api.new(ENV.fetch('AWS_LAMBDA_RUNTIME_API'))
    begin
      handler = Handler.new(name)
    rescue Exception => e # a file that can't be parsed is a ScriptError
      api.failed('init/error', e, 'Init')
      exit!(1)
    end
    loop { serve(api, handler) }
  end

  def self.serve(api, handler)
    answer = api.next
    id = answer['Lambda-Runtime-Aws-Request-Id']
    ENV['_X_AMZN_TRACE_ID'] = answer['Lambda-Runtime-Trace-Id']
    begin
      body, type = handler.run(answer)
    rescue Exception => e # whatever it is, the caller is told
      api.failed("invocation/#{id}/error", e, 'Function')
      exit!(1) if FATAL.any? { |fatal| e.is_a?(fatal) }
    else
      api.answer(id, body, type)
    end
  end
end

HearthRuntime.main(ARGV.fetch(0))
