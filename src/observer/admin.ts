/**
 * Admin: the HTTP pages for operators, load balancers and scrapers.
 * From: HTTP requests, on the admin address only, that adminGuard.ts lets pass.
 * To: nodeStatus.ts and exposition.ts, read-only.
 * Bound: guests.ts's, for connections; slow requests end after REQUEST_MS, within LOOK_MS.
 */
import { type FastifyInstance, type FastifyReply, fastify } from 'fastify';
import type { Limits } from '../base/limits.ts';
import type { AdminGuard } from './adminGuard.ts';
import type { Exposition } from './exposition.ts';
import type { Guests } from './guests.ts';
import type { NodeStatus } from './nodeStatus.ts';
import { addPage } from './pageFiles.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** True: also for reading on this machine; false: never. */
    needsToken?: boolean;
  }
}

/** Not by an import, with which Node loads its HTTP client too: 30 ms and 7 MB. */
const { createServer } = process.getBuiltinModule('node:http');
const REQUEST_MS = 10_000;
const IDLE_MS = 75_000;
/** How often Node looks for slow requests. */
const LOOK_MS = 1_000;
/** No route has one. Without this Fastify loads what would check and write by them: 25 ms, 5 MB. */
const NO_SCHEMAS = { buildValidator: noSchema, buildSerializer: noSchema };
const HEADER_BYTES_MAX = 8_192;
const BODY_BYTES_MAX = 1_024;

/** The admin pages, not yet listening. Throws when a file of the installation is missing. */
export function makeAdmin(
  status: NodeStatus,
  exposition: Exposition,
  guests: Guests,
  guard: AdminGuard,
  limits: Limits,
  clock: () => number = () => performance.now(),
): FastifyInstance {
  const admin = fastify({
    logger: false,
    bodyLimit: BODY_BYTES_MAX,
    forceCloseConnections: true,
    schemaController: { compilersFactory: NO_SCHEMAS },
    frameworkErrors: ({ statusCode = 400, message }, _, reply) =>
      void (reply as FastifyReply).code(statusCode).send({ error: message }),
    serverFactory: (serve) => {
      const server = createServer(
        {
          requestTimeout: REQUEST_MS,
          headersTimeout: REQUEST_MS,
          keepAliveTimeout: IDLE_MS,
          connectionsCheckingInterval: LOOK_MS,
          maxHeaderSize: HEADER_BYTES_MAX,
        },
        guests.oneByOne(serve),
      );
      guests.watch(server);
      return server;
    },
  });

  admin.addHook('onRequest', async (request, reply) => {
    reply.header('x-content-type-options', 'nosniff');
    const { needsToken } = request.routeOptions.config;
    const refusal = guard.refusal(request, needsToken);
    if (refusal === undefined) return;
    const { code, error } = refusal;
    if (code === 401) reply.header('www-authenticate', 'Bearer');
    await reply.code(code).send({ error });
  });
  admin.setNotFoundHandler((_, reply) => reply.code(404).send({ error: 'there is no such path' }));
  addPage(admin);
  admin.get('/health/live', (_, reply) => {
    const isLive = status.isLive(clock(), limits.childSilenceMs);
    const reasons = isLive ? [] : [{ reason: 'no heartbeat from the supervisor' }];
    return reply.code(isLive ? 200 : 503).send({ live: isLive, reasons });
  });
  admin.get('/health/ready', (_, reply) => {
    const reasons = status.unready(clock());
    const isReady = reasons.length === 0;
    const degraded = isReady ? status.degraded(clock()) : [];
    const more = degraded.length === 0 ? {} : { degraded };
    return reply.code(isReady ? 200 : 503).send({ ready: isReady, reasons, ...more });
  });
  admin.get('/metrics', async (_, reply) => {
    reply.type(exposition.contentType);
    return exposition.page(clock());
  });
  return admin;
}

function noSchema(): never {
  throw new Error('no route of the admin pages has a schema');
}
