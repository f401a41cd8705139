import { defaultGrpcRetryOptions, makeGrpcRetryInterceptor } from '@temporalio/client';
import type { ConnectionOptions } from '@temporalio/client';

import { asError } from './errors';

type Interceptor = NonNullable<ConnectionOptions['interceptors']>[number];
type StartCall = Parameters<Interceptor>[1];

/** What calls of Temporal pass through: the client's own retries, which end with the connection. */
export const temporalCalls: Interceptor[] = [
  makeGrpcRetryInterceptor(defaultGrpcRetryOptions()),
  // The retries need what a call does, not that it is of gRPC's class.
  canceledOnceClosed as unknown as Interceptor,
];

/**
 * Ends a call of a closed connection as canceled. Retries come due by a timer, perhaps once the connection is closed; gRPC refuses
 * them by an exception then, which nobody could catch there, and which would end the process.
 */
function canceledOnceClosed(options: Parameters<StartCall>[0], startCall: StartCall): unknown {
  try {
    return startCall(options);
  } catch (error) {
    return canceledCall(asError(error).message);
  }
}

/** Who hears how a call has ended. */
interface Listener {
  onReceiveMessage?(message: null): void;
  onReceiveStatus?(status: { readonly code: number; readonly details: string; readonly metadata: unknown }): void;
}

function canceledCall(details: string) {
  return {
    start(metadata: unknown, listener: Listener) {
      listener.onReceiveMessage?.(null);
      listener.onReceiveStatus?.({ code: 1, details, metadata }); // grpc.status.CANCELLED
    },
    sendMessage: () => undefined,
    sendMessageWithContext: () => undefined,
    startRead: () => undefined,
    halfClose: () => undefined,
    cancelWithStatus: () => undefined,
    getPeer: () => 'none',
    getAuthContext: () => null,
  };
}
