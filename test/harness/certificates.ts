import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { canInstallPackages, installPackages } from './debian-packages.ts';
import { LOOPBACK } from './free-port.ts';
import { runCommand } from './run-command.ts';

/** Files (PEM) of an authority of our own and of what it has signed: a certificate of servers, and one of clients. */
export type Certificates = {
  readonly ca: string;
  readonly server: Pair;
  readonly client: Pair;
  /** The text of the authority's certificate. */
  readonly caText: string;
};

type Pair = { readonly cert: string; readonly key: string };

const timeoutMs = 20_000;
/** The name of the servers, which is no address of theirs: for clients that ask for a name. */
export const serverName = 'redis.test';

/** `folder` is the caller's. */
export async function makeCertificates(folder: string): Promise<Certificates> {
  await requireOpenssl();
  const ca = pairIn(folder, 'ca');
  await openssl([...request(ca, '/CN=authority of a test')]);
  const signed = async (name: string, subject: string, alternatives: string): Promise<Pair> => {
    const pair = pairIn(folder, name);
    const by = ['-CA', ca.cert, '-CAkey', ca.key, '-addext', 'basicConstraints=critical,CA:FALSE'];
    await openssl([...request(pair, subject), ...by, '-addext', `subjectAltName=${alternatives}`]);
    return pair;
  };
  const server = await signed('server', '/CN=server', `IP:${LOOPBACK},DNS:${serverName}`);
  const client = await signed('client', '/CN=client', 'DNS:client.test');
  return { ca: ca.cert, server, client, caText: await readFile(ca.cert, 'utf8') };
}

function pairIn(folder: string, name: string): Pair {
  return { cert: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
}

function request({ cert, key }: Pair, subject: string): string[] {
  const made = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-noenc', '-days', '2'];
  return ['req', '-x509', ...made, '-subj', subject, '-keyout', key, '-out', cert];
}

async function openssl(args: readonly string[]): Promise<void> {
  await runCommand('openssl', args, { timeoutMs });
}

async function requireOpenssl(): Promise<void> {
  const isThere = await openssl(['version']).then(
    () => true,
    () => false,
  );
  if (isThere) return;
  if (!(await canInstallPackages())) throw new Error('tests of TLS need openssl (Debian: apt-get install openssl)');
  await installPackages(['openssl']);
}
