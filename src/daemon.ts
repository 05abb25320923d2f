import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { FastifyInstance } from 'fastify';
import packageJson from '../package.json' with { type: 'json' };
import { describeStatus } from './api/describe.ts';
import { buildApi } from './api/server.ts';
import { createOpenBootFile } from './boot/open.ts';
import { fetchedBytes } from './boot/payload.ts';
import type { Config } from './config.ts';
import { startDhcpServer } from './dhcp/server.ts';
import { firmwareConfig } from './fleet/firmware-config.ts';
import { Fleet } from './fleet/fleet.ts';
import { resolveNetworks } from './fleet/networks.ts';
import { Power } from './fleet/power.ts';
import { askUrl } from './fleet/rollout/check.ts';
import { Rollouts } from './fleet/rollout/rollouts.ts';
import { guardAddresses } from './guards/address-guards.ts';
import { openGate } from './guards/dhcp-gate.ts';
import { watchNetwork } from './guards/network-watch.ts';
import { BootKeyFile } from './host/boot-key-file.ts';
import { engineHost } from './host/engine-host.ts';
import { hostKeyMaker } from './host/host-keys.ts';
import { interfaceAddresses } from './host/interfaces.ts';
import { openLog } from './host/log.ts';
import { giveMemoryBack } from './host/malloc.ts';
import { neighbourMac } from './host/neighbours.ts';
import { watchMounts } from './host/nfs-connections.ts';
import { run } from './host/run.ts';
import { runSwitch } from './host/run-switch.ts';
import { stopSignal } from './host/stop-signal.ts';
import { notifySystemd } from './host/systemd.ts';
import { BURST_BYTES, openBatchedUdp, openUdp, type UdpBinding } from './host/udp.ts';
import { clearUnixSocket, restrictUnixSocket } from './host/unix-socket.ts';
import { startHttpServer } from './http/server.ts';
import { readGenerations } from './imaging/generation/generations.ts';
import { checkGeneration } from './imaging/generation/verify.ts';
import { recipeArch, recipeNames } from './imaging/recipe/names.ts';
import { faultOfPlainRoot, makeStateFolder } from './machine-check.ts';
import { Refusal } from './model/command.ts';
import type { Log } from './model/log.ts';
import type { Node } from './model/node.ts';
import { Warnings } from './model/warnings.ts';
import type { Ipv4 } from './net/ipv4.ts';
import type { Exporter } from './nfs/applied.ts';
import { openExporter } from './nfs/exporter.ts';
import { runExportsAgent } from './nfs/exports-agent.ts';
import { ANSWER_FILE, requestFile } from './nfs/exports-job.ts';
import { openRemote } from './nfs/remote.ts';
import { startReportServer } from './reports/server.ts';
import { SqliteStore } from './store/sqlite-store.ts';
import { startTftpServer } from './tftp/server.ts';

/** How often the interfaces are looked at: their addresses may change under us. */
const INTERFACE_CHECK_MS = 10_000;
/** How often it is looked who has fallen silent, or takes too long. */
const STATES_CHECK_MS = 5_000;

/** Where DHCP listens, by `dhcp` of an interface. */
const PORTS = { full: [67], proxy: [67, 4011], off: [] } as const;

/**
 * The composition root: configuration → store → engines → servers. Starts everything or nothing, and stops
 * what it started in the reverse order.
 */
export async function serve(config: Config, { force = false } = {}): Promise<void> {
  await using parts = new AsyncDisposableStack();
  const memory = parts.adopt(giveMemoryBack(), (giving) => giving.stop());
  const log = openLog();
  const startedAt = new Date().toISOString();
  const warnings = new Warnings(log, Date.now);
  const networks = resolveNetworks(config.interfaces, await interfaceAddresses());

  // First what can refuse and leaves nothing behind, then the state.
  const exporter = parts.adopt(await openOwnExporter(config, log), (opened) => opened.stop());
  await clearUnixSocket(config.api.socket);
  const listen = async <Port extends number, Socket extends { close(onClosed: () => void): unknown }>(
    open: (binding: UdpBinding) => Promise<Socket>,
    name: string,
    port: Port,
  ) => ({
    interface: name,
    port,
    socket: parts.adopt(await open({ interface: name, port, bufferBytes: BURST_BYTES }), closeOnce),
  });
  // One after the other: a port that is refused must leave none behind that is still being opened.
  const dhcpPorts = [...networks.values()].flatMap(({ interface: name, dhcp }) =>
    PORTS[dhcp].map((port) => ({ name, port })),
  );
  const dhcpSockets = await Array.fromAsync(dhcpPorts, ({ name, port }) =>
    listen(openBatchedUdp, name, port),
  );
  const tftpSockets = await Array.fromAsync(networks.keys(), (name) =>
    listen(openUdp, name, config.tftp.port),
  );

  await makeStateFolder(config.paths.state);
  const store = parts.adopt(new SqliteStore(join(config.paths.state, 'state.db')), (opened) =>
    opened.close(),
  );
  const fleet = await Fleet.open(
    {
      store,
      exporter,
      readGenerations: () => readGenerations(config.paths.generations),
      checkGeneration,
      recipeNames: () => recipeNames(config.paths.images),
      recipeArch: (image) => recipeArch(config.paths.images, image),
      makeHostKey: hostKeyMaker(run, config.paths.state),
      neighbourMac,
      fetchedBytes,
      log,
    },
    config,
    networks,
  );
  parts.defer(() => fleet.conditions.stop());
  const exported = fleet.reconcileExports();
  // The exports unit may be gone, or long about the disks of nodes: the boot files wait for neither.
  if (exporter.kind !== 'unit') await exported;
  else
    exported.catch((err) =>
      log.error({ id: 'EXPORTS_NOT_APPLIED', err }, 'the exports could not be applied'),
    );
  await inspectGenerations(fleet, warnings, log);

  const fault = await faultOfPlainRoot(config.tftp.root);
  if (fault !== undefined) log.warn({ id: 'TFTP_ROOT_MISSING' }, fault);
  const bootKeys = new BootKeyFile(join(config.paths.state, 'keys', 'boot.pem'));
  const openFile = createOpenBootFile({
    view: () => fleet.view(),
    pin: (node, name, address) => fleet.pin(node, name, address),
    macOf: (address) => fleet.addresses.macOf(address),
    plainRoot: config.tftp.root,
    log,
    scratchFolder: config.paths.state,
    signing: {
      key: () => bootKeys.current(),
      signedAt: ({ image, id }) => fleet.channels.publishedAt(image, id),
    },
  });
  const interfaces = [...networks.values()];
  const watchOptions = { current: () => fleet.view().networks, warnings, log };
  const watch = parts.adopt(await watchNetwork(interfaces, watchOptions), (opened) => opened.stop());
  const gateOptions = { interfaces, watch, stateFolder: config.paths.state, force, log };
  const gate = parts.adopt(await openGate(gateOptions), (opened) => opened.stop());
  const guards = parts.adopt(
    guardAddresses({ sockets: dhcpSockets, leases: fleet.leases, run, log }),
    (opened) => opened.stop(),
  );
  const dhcp = parts.adopt(
    startDhcpServer({
      sockets: dhcpSockets,
      isHeldBack: gate.isHeldBack,
      warnings,
      probe: guards.probe,
      onPi3: guards.onPi3,
      view: () => fleet.view(),
      leases: fleet.leases,
      commit: (changes) => fleet.leases.commit(changes),
      onSighting: (sighting) => fleet.see(sighting),
      onStage: (stage) => fleet.announce(stage),
      log,
      now: Date.now,
    }),
    (server) => server.stop(),
  );
  const tftp = parts.adopt(
    startTftpServer({
      listeners: tftpSockets,
      openErrorSocket: (name) => openUdp({ interface: name, port: 0, ...ownAddress(fleet, name) }),
      engines: {
        entry: new URL('./tftp-worker.ts', import.meta.url),
        workers: config.tftp.workers,
        ...engineHost((name) => fleet.view().networks.get(name)?.address),
      },
      mtuOf: (name) => fleet.view().networks.get(name)?.mtu,
      openFile,
      warnings,
      log,
    }),
    (server) => server.stop(),
  );

  const http =
    config.http.port === 'off'
      ? undefined
      : parts.adopt(startHttpServer({ port: config.http.port, openFile, log, warnings }), (server) =>
          server.stop(),
        );
  await http?.listenAt(networks.values());
  const reports = parts.adopt(
    startReportServer({ port: config.reports.port, desk: fleet.reporting, log, warnings }),
    (server) => server.stop(),
  );
  await reports.listenAt(networks.values());

  const counters = () => ({
    dhcp: dhcp.counters(),
    tftp: tftp.counters(),
    ...(http ? { http: http.counters() } : {}),
    reports: reports.counters(),
  });
  const status = () =>
    describeStatus(
      fleet,
      exporter,
      { version: packageJson.version, startedAt, counters: counters(), tftp: tftp.load() },
      { warnings: warnings.all(), unwatched: watch.unwatched, isHeldBack: gate.isHeldBack },
      Date.now(),
    );
  const forNode = (node: Node, boot?: 'http' | 'tftp') => firmwareConfig(config, fleet, bootKeys, node, boot);
  const power = new Power({
    templates: config.power,
    runSwitch,
    addressOf: (node) => fleet.addresses.addressOf(node),
    tell: (event) => fleet.events.tell(event),
    onSwitched: (serial, power) => fleet.conditions.switched(serial, power),
    log,
  });
  parts.defer(() => power.stop());
  const rollouts = parts.adopt(
    new Rollouts({
      fleet,
      transact: (writes) => store.transact({ writes }),
      send: (node, order, options) => fleet.reporting.send(node, order, options),
      power,
      addressOf: (node) => fleet.addresses.addressOf(node),
      ask: askUrl,
      log,
    }),
    (opened) => opened.stop(),
  );
  rollouts.run();
  for (const address of [{ path: config.api.socket }, ...tcpAddress(config.api.listen)]) {
    const api = parts.adopt(
      buildApi({
        fleet,
        exporter,
        status,
        log,
        bootKeys,
        firmwareConfig: forNode,
        fetchedBytes,
        power,
        rollouts,
      }),
      (opened) => opened.close(),
    );
    await listenAt(api, address);
  }
  await restrictUnixSocket(config.api.socket);

  const watching = setInterval(async () => {
    await followInterfaces(config, fleet, log);
    // Every time: an address that was taken may have come free.
    await http?.listenAt(fleet.view().networks.values());
    await reports.listenAt(fleet.view().networks.values());
    await inspectGenerations(fleet, warnings, log);
  }, INTERFACE_CHECK_MS);
  parts.defer(() => clearInterval(watching));
  const ticking = setInterval(() => fleet.conditions.tick(), STATES_CHECK_MS);
  parts.defer(() => clearInterval(ticking));
  const mounts = watchMounts({
    awaited: () => fleet.conditions.awaitingRoot(),
    addressOf: (serial) => {
      const node = fleet.view().nodes.get(serial);
      return node && fleet.addresses.addressOf(node);
    },
    onMounted: (serial) => fleet.conditions.mounted(serial),
  });
  parts.defer(() => mounts.stop());
  const ended = stopped();
  if ((await Promise.race([gate.opened, ended])) === undefined) {
    log.info({ id: 'READY', interfaces: [...networks.keys()], nfs: exporter.kind }, 'netboot serves');
    await notifySystemd(run, '--ready');
    memory.now();
  }
  log.info({ id: 'STOPPING', signal: await ended }, 'netboot stops');
}

/** The address a client asked is the one that answers it. */
function ownAddress(fleet: Fleet, name: string): { address?: Ipv4 } {
  const address = fleet.view().networks.get(name)?.address;
  return address ? { address } : {};
}

/** As root we mount and export ourselves; without its rights another unit does it for us. */
function openOwnExporter(config: Config, log: Log): Promise<Exporter> | Exporter {
  const isRoot = process.getuid?.() === 0;
  if (!isRoot && config.nfs.server !== 'none') return openRemote({ stateFolder: config.paths.state, log });
  return openExporter(exporterOptions(config, log));
}

const exporterOptions = (config: Config, log: Log) => ({
  kind: config.nfs.server,
  stateFolder: config.paths.state,
  exportsFolder: config.nfs.exports,
  generationsFolder: config.paths.generations,
  run,
  log,
});

/** `netboot apply-exports`: the root process that mounts and exports for a service without privileges. */
export async function applyExports(config: Config): Promise<void> {
  await using parts = new AsyncDisposableStack();
  const log = openLog();
  // Of the unit's StateDirectory=: in the service's folder, the service could lead root's pen elsewhere.
  const stateFolder = process.env.STATE_DIRECTORY ?? config.paths.state;
  const options = { ...exporterOptions(config, log), stateFolder };
  const exporter = parts.adopt(await openExporter(options), (opened) => opened.stop());
  const files = { requestFile: requestFile(config.paths.state), answerFile: ANSWER_FILE };
  await runExportsAgent({ exporter, ...files, log, signal: stopSignal() });
}

/** The servers close their sockets; this is for those that no server got, because the start failed before. */
function closeOnce(socket: { close(onClosed: () => void): unknown }): void {
  try {
    socket.close(() => {});
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SOCKET_DGRAM_NOT_RUNNING') throw error;
  }
}

/** `127.0.0.1:8067` as an address to listen at; nothing for `off`. */
function tcpAddress(listen: string): Array<{ host: string; port: number }> {
  const [host, port] = listen.split(':');
  return host && port ? [{ host, port: Number(port) }] : [];
}

/** @throws Refusal naming the address when it is taken, or is none. */
async function listenAt(api: FastifyInstance, address: { path: string } | { host: string; port: number }) {
  try {
    await api.listen(address);
  } catch (error) {
    const [where, key] =
      'path' in address ? [address.path, 'api.socket'] : [`${address.host}:${address.port}`, 'api.listen'];
    const remedy = `Correct ${key} in the configuration, or stop what holds that address.`;
    throw new Refusal(`The API cannot listen at "${where}": ${(error as Error).message}`, remedy, {
      cause: error,
    });
  }
}

/** An interface that got another address has another subnet, server and exports; one that is down keeps its last. */
async function followInterfaces(config: Config, fleet: Fleet, log: Log): Promise<void> {
  try {
    const networks = resolveNetworks(config.interfaces, await interfaceAddresses());
    if (isDeepStrictEqual(networks, fleet.networks())) return;
    log.info(
      { id: 'INTERFACES_CHANGED', networks: [...networks.values()] },
      'the interfaces have other addresses',
    );
    await fleet.setNetworks(networks);
  } catch (error) {
    log.warn(
      { id: 'INTERFACES_BROKEN', err: error },
      'the interfaces do not fit the configuration; the last state stays',
    );
  }
}

/** Somebody may have deleted what nodes boot, or put it back. */
async function inspectGenerations(fleet: Fleet, warnings: Warnings, log: Log): Promise<void> {
  try {
    await fleet.inspectGenerations(warnings);
  } catch (error) {
    log.error({ id: 'GENERATIONS_UNREADABLE', err: error }, 'the generations cannot be looked at');
  }
}

/** Resolves with the name of the signal that asks us to stop. */
function stopped(): Promise<string> {
  const signal = stopSignal();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(String(signal.reason))));
}
