/** Whether a gRPC target stays on this host: only then may a bearer travel in clear. */
import { isIPv4, isIPv6 } from "node:net";
import type { Environment } from "./options.ts";

const UNIX = ["unix:", "unix-abstract:"];
const SCHEMES = ["dns:", "ipv4:", "ipv6:"];
/** As grpc-js looks for them, in this order. */
export const PROXIES = ["grpc_proxy", "https_proxy", "http_proxy"];
export const NO_PROXIES = ["no_grpc_proxy", "no_proxy"];

/** A Unix socket, `localhost`, or addresses of which each is loopback. What is not understood counts as remote. */
export function isLocal(target: string): boolean {
  if (isUnix(target)) return true;
  const addresses = addressesOf(target);
  return addresses !== "" && addresses.split(",").every((address) => isLoopback(hostOf(address)));
}

/**
 * The variable whose HTTP proxy grpc-js may use for a target, if nothing forbids that; undefined if it uses none. In
 * doubt it is named: a list of addresses, or a network in no_proxy, is not looked into.
 */
export function proxyVariable(target: string, environment: Environment = process.env): string | undefined {
  if (isUnix(target)) return undefined;
  const addresses = addressesOf(target);
  const host = addresses.includes(",") ? addresses : hostOf(addresses);
  // As grpc-js compares: the end of the host, blanks included.
  const exempt =
    NO_PROXIES.map((name) => environment[name])
      .find(Boolean)
      ?.split(",") ?? [];
  if (exempt.some((end) => end !== "" && host.endsWith(end))) return undefined;
  return PROXIES.find((name) => environment[name]);
}

function isUnix(target: string): boolean {
  return UNIX.some((scheme) => target.startsWith(scheme));
}

function addressesOf(target: string): string {
  const scheme = SCHEMES.find((each) => target.startsWith(each)) ?? "";
  // dns://SERVER/NAME names a name server that could be anywhere; dns:///NAME does not.
  return target.slice(scheme.length).replace(/^\/\/\//, "");
}

/** Whether a host is `localhost` or a loopback address. Other names may lead anywhere. */
export function isLoopback(host: string): boolean {
  if (host.toLowerCase() === "localhost") return true;
  if (isIPv4(host)) return host.startsWith("127.");
  // URL writes each IPv6 address in one way.
  return isIPv6(host) && !host.includes("%") && new URL(`http://[${host}]`).hostname === "[::1]";
}

function hostOf(address: string): string {
  if (address.startsWith("[")) {
    const end = address.indexOf("]");
    const port = address.slice(end + 1);
    return end >= 0 && (port === "" || port.startsWith(":")) ? address.slice(1, end) : "";
  }
  const [host = "", ...more] = address.split(":");
  return more.length > 1 ? address : host;
}
