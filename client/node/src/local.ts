/** Whether a gRPC target stays on this host: only then may a bearer travel in clear. */
import { isIPv4, isIPv6 } from "node:net";

const UNIX = ["unix:", "unix-abstract:"];
const SCHEMES = ["dns:", "ipv4:", "ipv6:"];

/** A Unix socket, `localhost`, or addresses of which each is loopback. What is not understood counts as remote. */
export function isLocal(target: string): boolean {
  if (UNIX.some((scheme) => target.startsWith(scheme))) return true;
  const scheme = SCHEMES.find((each) => target.startsWith(each)) ?? "";
  // dns://SERVER/NAME names a name server that could be anywhere; dns:///NAME does not.
  const rest = target.slice(scheme.length).replace(/^\/\/\//, "");
  return rest !== "" && rest.split(",").every((address) => isLoopback(hostOf(address)));
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
