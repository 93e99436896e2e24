/**
 * Admin: the HTTP pages for operators, load balancers and scrapers.
 * From: HTTP requests, on the admin address only.  To: the ledger and the exposition, read-only.
 * Bound: `adminConnectionsMax` connections, more are closed; slow requests end after REQUEST_MS.
 */
import { type FastifyInstance, fastify } from 'fastify';
import type { Limits } from '../limits.ts';
import type { Exposition } from './exposition.ts';
import type { Ledger } from './ledger.ts';

const REQUEST_MS = 10_000;
const IDLE_MS = 75_000;
const BODY_BYTES_MAX = 1_024;

const INDEX = `Owsla

/health/live   200 while the node's processes are looked after, else 503
/health/ready  200 while every acceptor takes links and has the broker, else 503 and why;
               with 200, "degraded" says what else does not work
/metrics       figures in the Prometheus text format
`;

/** The admin pages, not yet listening. */
export function makeAdmin(
  ledger: Ledger,
  exposition: Exposition,
  limits: Limits,
  clock: () => number = () => performance.now(),
): FastifyInstance {
  const admin = fastify({
    logger: false,
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: REQUEST_MS,
    keepAliveTimeout: IDLE_MS,
    forceCloseConnections: true,
    http: { headersTimeout: REQUEST_MS },
  });
  admin.server.maxConnections = limits.adminConnectionsMax;

  admin.get('/', (_, reply) => reply.type('text/plain; charset=utf-8').send(INDEX));
  admin.get('/health/live', (_, reply) => {
    const isLive = ledger.isLive(clock(), limits.childSilenceMs);
    const reasons = isLive ? [] : [{ reason: 'the supervisor is silent' }];
    return reply.code(isLive ? 200 : 503).send({ live: isLive, reasons });
  });
  admin.get('/health/ready', (_, reply) => {
    const reasons = ledger.unready(clock());
    const isReady = reasons.length === 0;
    const degraded = isReady ? ledger.degraded(clock()) : [];
    const more = degraded.length === 0 ? {} : { degraded };
    return reply.code(isReady ? 200 : 503).send({ ready: isReady, reasons, ...more });
  });
  admin.get('/metrics', async (_, reply) => {
    reply.type(exposition.contentType);
    return exposition.page(clock());
  });
  return admin;
}
