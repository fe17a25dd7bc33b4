raise ArgumentError, 'no start' if ENV.key?('FAIL_INIT')

sleep ENV.fetch('SLOW_INIT_S', '0').to_f

class QuotaExceeded < StandardError; end

module Example
  class Function
    def self.handle(event:, context:)
      case event['do']
      when 'raise' then event.fetch('missing')
      when 'custom' then raise QuotaExceeded, 'no more'
      when 'sleep' then sleep event['seconds']
      when 'exit' then exit!(event['code'])
      when 'grow'
        held = []
        loop { held << 'x' * (8 << 20) }
      when 'context' then fields(context)
      when 'tmp' then count
      else event
      end
    end

    def self.count
      count = (File.exist?('/tmp/count') ? File.read('/tmp/count').to_i : 0) + 1
      File.write('/tmp/count', count.to_s)
      count
    end

    def self.fields(context)
      {
        stage: ENV['STAGE'], region: ENV['AWS_REGION'], name: context.function_name,
        version: context.function_version, memory: context.memory_limit_in_mb.to_i,
        request_id: context.aws_request_id, arn: context.invoked_function_arn,
        remaining_ms: context.get_remaining_time_in_millis
      }
    end
  end
end
