// What the browser calls: the service, and the sites that serve the page.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { createInterface } from 'node:readline';

const EXAMPLES = new URL('../../deploy/examples/', import.meta.url);
const BINARY = process.env.DEMAND ?? new URL('../../target/debug/demand', import.meta.url).pathname;
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' };

/** Serves the page from an origin of its own. */
export async function site() {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://site');
    const name = pathname === '/' ? 'index.html' : pathname.slice(1);
    try {
      const file = await readFile(new URL(name, EXAMPLES));
      response.writeHead(200, { 'Content-Type': TYPES[extname(name)] }).end(file);
    } catch {
      response.writeHead(404).end();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = () => server.close().closeAllConnections();
  return { origin: `http://127.0.0.1:${server.address().port}`, close };
}

/** The service in local mode, with all it keeps in a directory that goes with it. */
export class Service {
  static async start({ origins, withTokens = true }) {
    const service = new Service();
    service.directory = await mkdtemp(join(tmpdir(), 'demand-browser-'));
    service.flags = origins.flatMap((origin) => ['--cors-origin', origin]);
    if (withTokens) {
      const tokens = join(service.directory, 'tokens.json');
      const scopes = ['--scope', 'demands:read', '--scope', 'demands:write'];
      const made = spawnSync(BINARY, ['token', 'new', 'page', ...scopes, '--tokens-file', tokens]);
      if (made.status !== 0) throw new Error(`no token: ${made.error ?? made.stderr}`);
      service.token = made.stdout.toString().trim();
      service.flags.push('--tokens-file', tokens);
    }
    await service.run('127.0.0.1:0');
    return service;
  }

  /** Starts it, or starts it again where it was. */
  async run(listen = new URL(this.url).host) {
    const data = join(this.directory, 'data');
    const log = createWriteStream(join(this.directory, 'log'), { flags: 'a' });
    await once(log, 'open');
    const flags = ['serve', '--local', '--data-dir', data, '--listen', listen, ...this.flags];
    this.process = spawn(BINARY, flags, { stdio: ['ignore', 'pipe', log] });
    this.ended = once(this.process, 'exit').finally(() => log.close());
    for await (const line of createInterface({ input: this.process.stdout })) {
      this.url = line.replace('listening on ', '');
      return;
    }
    throw new Error(await readFile(join(this.directory, 'log'), 'utf8'));
  }

  /** Asks it to stop, and waits until it has. */
  async stop() {
    this.process.kill('SIGTERM');
    const [code] = await this.ended;
    return code;
  }

  async close() {
    await this.stop();
    // Commands that wait for a file below it end when it is gone, and may write meanwhile.
    await rm(this.directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }

  /** What it answers to a program. */
  async get(path) {
    const headers = this.token ? { Authorization: `Bearer ${this.token}` } : {};
    return (await fetch(this.url + path, { headers })).json();
  }

  async listed(type) {
    return (await this.get(`/demands?execution_type=${type}`)).demands;
  }
}
