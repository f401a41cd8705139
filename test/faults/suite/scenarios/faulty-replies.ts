import { setTimeout as sleep } from 'node:timers/promises';

import { answerWell, etagOf, sendInPieces } from '../upstream';
import type { Exchange, Fault } from '../upstream';

/** How one reply of upstream can be wrong. */
export const resets: Fault = {
  name: 'reset in the middle of a body',
  repeats: true,
  answer: async (exchange) => {
    await beginBody(exchange);
    exchange.response.socket?.resetAndDestroy();
  },
};

export const endsEarly: Fault = {
  name: 'body cut off below its Content-Length',
  repeats: true,
  answer: async (exchange) => {
    await beginBody(exchange);
    exchange.response.socket?.end();
  },
};

export const announcesLess: Fault = {
  name: 'body cut off with a Content-Length to match',
  repeats: true,
  answer: ({ bytes, response }) => {
    const half = bytes.subarray(0, bytes.length / 2);
    response.writeHead(200, { 'content-length': half.length, etag: etagOf(bytes) }).end(half);
  },
};

export const announcesNothing: Fault = {
  name: 'body cut off without a Content-Length',
  repeats: true,
  answer: ({ bytes, response }) => {
    response.writeHead(200).end(bytes.subarray(0, bytes.length / 2));
  },
};

export const trickles: Fault = {
  name: 'reply that trickles',
  repeats: false,
  answer: async ({ bytes, response }) => {
    response.writeHead(200, { 'content-length': bytes.length });
    await sendInPieces(response, bytes, Math.ceil(bytes.length / 15) || 1, 100);
  },
};

export const stalls: Fault = {
  name: 'reply that stands still',
  repeats: true,
  answer: beginBody,
};

export const wrongBytes: Fault = {
  name: 'other bytes of the same length',
  repeats: true,
  answer: (exchange) => answerWell({ ...exchange, bytes: inverted(exchange.bytes) }),
};

/** The rest that a client asks for is that of another file; the server does not know what If-Range means. */
export const otherRest: Fault = {
  name: 'rest of a body that is another one',
  repeats: true,
  answer: async ({ bytes, request, response, ...exchange }) => {
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    if (start === 0 || start >= bytes.length) return beginAndReset({ bytes, request, response, ...exchange });
    const rest = inverted(bytes).subarray(start);
    response.writeHead(206, {
      'content-length': rest.length,
      'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}`,
    });
    response.end(rest);
  },
};

export function answers(status: number, headers: Record<string, string> = {}): Fault {
  return {
    name: `status ${status}`,
    repeats: true,
    answer: ({ response }) => {
      response.writeHead(status, headers).end('not now');
    },
  };
}

/** What has to be tried again once, each. */
export const brokenBodies: readonly Fault[] = [resets, endsEarly, announcesLess, announcesNothing, trickles, stalls];

const beginAndReset = (exchange: Exchange) => resets.answer(exchange);

/** Half of a body, which is on its way when this returns. */
async function beginBody({ bytes, response }: Exchange): Promise<void> {
  response.writeHead(200, { 'content-length': bytes.length, etag: etagOf(bytes) });
  response.flushHeaders();
  response.write(bytes.subarray(0, bytes.length / 2));
  await sleep(30);
}

function inverted(bytes: Buffer): Buffer {
  return bytes.map((byte) => byte ^ 0xff) as Buffer;
}
