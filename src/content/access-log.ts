import type { IncomingMessage, ServerResponse } from 'node:http';
import { performance } from 'node:perf_hooks';

import type { Logger } from 'pino';

/** Characters of what a client says. */
const longestText = 500;

/** Writes a line for each request, once its answer has ended. What proves who the client is stays out of it. */
export function logRequests(logger: Logger): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    const { method, socket } = request;
    const began = performance.now();
    const sentBefore = socket.bytesWritten;
    const { remoteAddress } = socket;
    response.once('close', () => {
      const line = {
        method,
        path: loggedPath(request),
        status: response.statusCode,
        bytes: socket.bytesWritten - sentBefore,
        ms: Math.round((performance.now() - began) * 10) / 10,
        remoteAddress,
        userAgent: request.headers['user-agent']?.slice(0, longestText),
        whole: response.writableFinished,
      };
      logger.info(line, 'request');
    });
  };
}

/** What a request was for, as logs show it: without its query, which may hold what proves who asks. */
export function loggedPath({ url = '' }: IncomingMessage): string {
  return url.replace(/\?.*/s, '').slice(0, longestText);
}
