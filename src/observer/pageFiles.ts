/**
 * PageFiles: the page for browsers, as its files are, and the plot library that it uses.
 * From: page/, and the package uplot, read once at the start.  To: a browser, at `/` and `/page/`.
 * Bound: a fixed list of files. No file holds a figure or a secret, so none needs the token: what
 * the page shows it asks for itself, as everybody, and is refused as everybody.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, extname, join } from 'node:path';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/** For those who do not ask for HTML: curl, scripts. */
const INDEX = `Owsla

/health/live   200 while the supervisor reports, else 503
/health/ready  200 while every acceptor takes links and has the broker, else 503 and why;
               with 200, "degraded" says what else does not work
/metrics       figures in the Prometheus text format
/api/v1/       status, links, closed, blocked, stream, as JSON: docs/operations.md
/              in a browser: the page, live
`;

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Scripts, styles and figures of this address only, nothing written into the page itself. */
const POLICY = [
  ...["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"],
  ...["img-src 'self' data:", "base-uri 'none'", "frame-ancestors 'none'", "form-action 'none'"],
].join('; ');

const HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': POLICY,
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  // It may be kept, and is asked for again each time: another Owsla has other files.
  'cache-control': 'no-cache',
};

interface PageFile {
  readonly type: string;
  readonly body: Buffer;
  readonly etag: string;
}

/** Found by the packages' names: from sources and compiled alike. */
function readPage(): ReadonlyMap<string, PageFile> {
  const { resolve } = createRequire(import.meta.url);
  const folder = join(dirname(resolve('owsla/package.json')), 'src/observer/page');
  const places = new Map(readdirSync(folder).map((name) => [name, join(folder, name)]));
  places.set('uplot.js', resolve('uplot/dist/uPlot.iife.min.js'));
  places.set('uplot.css', resolve('uplot/dist/uPlot.min.css'));
  return new Map([...places].map(([name, path]) => [name, readPageFile(name, path)]));
}

function readPageFile(name: string, path: string): PageFile {
  const body = readFileSync(path);
  const etag = `"${createHash('sha256').update(body).digest('base64url')}"`;
  return { type: TYPES[extname(name)] ?? 'application/octet-stream', body, etag };
}

/** Add `/` and `/page/`. Throws when a file of the installation is missing. */
export function addPage(admin: FastifyInstance): void {
  const files = readPage();
  const open = { config: { needsToken: false } };
  admin.get('/', open, (request, reply) => {
    reply.header('vary', 'accept');
    const { accept = '' } = request.headers;
    const page = accept.includes('text/html') ? files.get('index.html') : undefined;
    if (page !== undefined) return sendFile(page, request, reply);
    return reply.type('text/plain; charset=utf-8').send(INDEX);
  });
  admin.get<{ Params: { name: string } }>('/page/:name', open, (request, reply) => {
    const file = files.get(request.params.name);
    if (file === undefined) return reply.code(404).send({ error: 'there is no such path' });
    return sendFile(file, request, reply);
  });
}

function sendFile(
  { type, body, etag }: PageFile,
  { headers }: FastifyRequest,
  reply: FastifyReply,
) {
  reply.headers({ ...HEADERS, etag });
  const known = headers['if-none-match']?.split(/\s*,\s*/) ?? [];
  if (known.includes(etag)) return reply.code(304).send();
  return reply.type(type).send(body);
}
