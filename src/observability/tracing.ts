import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import type { Attributes } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, RandomIdGenerator, TracerProvider } from '@opentelemetry/sdk-trace';

import { asError } from '../errors';

/** An activity as a span. */
export interface TracedActivity {
  readonly stage: string;
  /** The run of the workflow: all its spans are one trace, whose id is the run's id without dashes. */
  readonly runId: string;
  readonly attributes: Attributes;
}

/** The run's id is a UUID: as many bits as the id of a trace. Each run is one trace, though no span of the workflow holds it together. */
class RunAsTrace extends RandomIdGenerator {
  private traceId = '';

  begin(runId: string): void {
    this.traceId = runId.replaceAll('-', '');
  }

  override generateTraceId = (): string => this.traceId;
}

/** Sends a span of every activity to where OpenTelemetry's own variables say. */
export class Tracing {
  private readonly ids = new RunAsTrace();
  private readonly provider = new TracerProvider({
    resource: defaultResource()
      .merge(resourceFromAttributes({ 'service.name': 'penstock' }))
      .merge(detectResources({ detectors: [envDetector] })),
    idGenerator: this.ids,
    spanProcessors: [new BatchSpanProcessor({ exporter: new OTLPTraceExporter() })],
  });
  private readonly tracer = this.provider.getTracer('penstock');

  /** Begins the span of an activity; to be told how it ended. */
  begin({ stage, runId, attributes }: TracedActivity): (error?: unknown) => void {
    this.ids.begin(runId);
    const span = this.tracer.startSpan(`RunActivity:${stage}`, { kind: SpanKind.INTERNAL, root: true, attributes });
    return (error) => {
      if (error !== undefined) {
        const { name, message } = asError(error);
        span.recordException({ name, message });
        span.setStatus({ code: SpanStatusCode.ERROR, message });
      }
      span.end();
    };
  }

  /** Sends what is left. Where nobody takes it, it is dropped. */
  async close(): Promise<void> {
    await this.provider.shutdown().catch(() => undefined);
  }
}
