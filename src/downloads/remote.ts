/** How to fetch from a remote, with its secrets in clear: it lives in a worker's memory only, never in a payload or a log. */
export interface RemoteConnection {
  readonly name: string;
  readonly url: string;
  /** Requests at once, for a whole sync. */
  readonly downloadConcurrency: number;
  /** Attempts after the first one, for each artifact. */
  readonly maxRetries: number;
  /** Requests a second, for a whole sync; `null`: no limit. */
  readonly rateLimit: number | null;
  /** Seconds for an attempt, redirects and body included; `null`: no limit but the one on a body that trickles. */
  readonly totalTimeout: number | null;
  /** Seconds until a connection is established, TLS included. For this and the next two, `null`: `standardTimeouts`. */
  readonly connectTimeout: number | null;
  /** Seconds until a socket is connected. */
  readonly sockConnectTimeout: number | null;
  /** Seconds between two reads of a socket. */
  readonly sockReadTimeout: number | null;
  readonly tlsValidation: boolean;
  /** PEM. */
  readonly caCert: string | null;
  readonly clientCert: string | null;
  readonly clientKey: string | null;
  readonly username: string | null;
  readonly password: string | null;
  readonly proxyUrl: string | null;
  readonly proxyUsername: string | null;
  readonly proxyPassword: string | null;
  readonly headers: readonly Readonly<Record<string, string>>[];
}
