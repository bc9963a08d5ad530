/** Why there is no connection: gRPC says UNAVAILABLE for every cause, and a text that few people can read. */
import { NO_PROXIES, PROXIES } from "./local.ts";
import type { Environment } from "./options.ts";
import { visible } from "./text.ts";

const MAX_DETAILS = 300;
const NOT_CONNECTED = "No connection established";
const WHERE = "Set the target with MINTONCE_TARGET or the option target.";
const USE_TLS = "Use TLS: set MINTONCE_CA_FILE or MINTONCE_TLS=true, or the option tls.";

/** How a client connects. */
export interface Link {
  readonly target: string;
  readonly tls: boolean;
  /** The name that the server's certificate must have, where it is not the target's. */
  readonly serverName: string | undefined;
  /** Whether the client has a certificate of its own. */
  readonly showsCertificate: boolean;
  /** Whether gRPC honours proxy variables for it. */
  readonly mayUseProxy: boolean;
}

/** What is wrong, in a few words, and the remedy for it. */
export interface Explanation {
  readonly why: string;
  readonly remedy: string;
}

/** `details`: what grpc-js says. */
export function explain(details: string, link: Link, environment: Environment = process.env): Explanation {
  const text = cleaned(details);
  return (
    ofNetwork(text, link, proxyOf(link, environment)) ??
    ofCertificate(text, link) ??
    ofTransport(text, link) ?? {
      why: text.startsWith(NOT_CONNECTED)
        ? visible(text.split("Last error: ")[1] || text, MAX_DETAILS)
        : `the connection was lost (${visible(text || "no details", MAX_DETAILS)})`,
      remedy:
        "Call again: the server may be restarting. If it goes on: " +
        `is mintonced running, and at ${link.target}? ${hint(link)} ${WHERE}`,
    }
  );
}

/** Without the parts that say nothing: the balancer's name, what it repeats, a time, the source files of OpenSSL. */
function cleaned(details: string): string {
  return details
    .replace(/^round_robin: /, "")
    .replace(/^(?:No connection established\. Last error: ){2,}/, `${NOT_CONNECTED}. Last error: `)
    .replace(/\s*Resolution note: \s*$/, "")
    .replace(/\s*\(\d{4}-\d\d-\d\dT[\d:.]+Z\)/, "")
    .replace(/:[^:\s]*\.c:\d+:/, " ")
    .replace(/[\s.]+$/, "");
}

/** Nothing was reached. */
function ofNetwork(text: string, link: Link, proxy: string): Explanation | undefined {
  // grpc-js does not say what went wrong with a proxy.
  if (proxy !== "" && text.endsWith("Last error: undefined")) {
    return {
      why: "the HTTP proxy refused the connection",
      remedy:
        `gRPC uses the proxy of the variable ${proxy}: name the server's host in no_proxy, ` + "or unset the variable.",
    };
  }
  if (text.includes("Name resolution failed") || text.includes("Failed to parse DNS") || text.includes("ENOTFOUND")) {
    return { why: "its name cannot be resolved", remedy: `Is the host name right? ${WHERE}` };
  }
  if (text.includes("ECONNREFUSED") || text.includes("ENOENT")) {
    return { why: "nothing listens there", remedy: notRunning(link, proxy) };
  }
  if (/ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|timed out/.test(text)) {
    return {
      why: "the network does not reach it",
      remedy: `Is a firewall between the two? ${notRunning(link, proxy)}`,
    };
  }
  return undefined;
}

/** The server showed a certificate that does not do. */
function ofCertificate(text: string, link: Link): Explanation | undefined {
  if (text.includes("ERR_TLS_CERT_ALTNAME_INVALID") || text.includes("does not match certificate's altnames")) {
    const expected = link.serverName ?? "the target's host name";
    return {
      why: "its certificate is for another name",
      remedy:
        `The client expects ${expected}. Use a target whose name the certificate has, or say what it is for: ` +
        "MINTONCE_SERVER_NAME or the option tls.serverName.",
    };
  }
  if (text.includes("certificate has expired")) {
    return {
      why: "its certificate, or that of its CA, has expired",
      remedy: "Renew it. Or is the clock of this host wrong?",
    };
  }
  if (text.includes("certificate is not yet valid")) {
    return { why: "its certificate is not valid yet", remedy: "Is the clock of this host right?" };
  }
  if (/self-signed certificate|unable to (get|verify)|certificate signature failure|invalid CA|UNABLE_TO/.test(text)) {
    return {
      why: "its certificate is not from a CA that this client trusts",
      remedy:
        "The server's certificate must be from the CA in MINTONCE_CA_FILE or the option tls.caFile; else, " +
        "from a CA that this host trusts.",
    };
  }
  return undefined;
}

/** The two ends speak something else. */
function ofTransport(text: string, link: Link): Explanation | undefined {
  if (text.includes("wrong version number") || text.includes("packet length too long")) {
    return {
      why: "it does not speak TLS",
      remedy:
        "The connection is TLS. Is this the right port? For a server in clear, unset MINTONCE_CA_FILE and the like, " +
        "or set tls to false.",
    };
  }
  if (text.includes("Protocol error")) {
    return {
      why: "it does not speak gRPC",
      remedy: `Is this the port of mintonced, and not of a web server? ${WHERE}`,
    };
  }
  const closes = /Failed to connect$|ECONNRESET|EPIPE|socket disconnected|socket hang up|alert/.test(text);
  if (!text.startsWith(NOT_CONNECTED) || !closes) return undefined;
  return {
    why: "it closes the connection",
    remedy: link.tls ? hint(link) : `The connection is in clear, and the server may want TLS. ${USE_TLS}`,
  };
}

function notRunning(link: Link, proxy: string): string {
  const where = proxy ? ` The connection goes through the proxy of the variable ${proxy}: is that meant?` : "";
  return `Is mintonced running, and at ${link.target}? ${WHERE}${where}`;
}

function hint(link: Link): string {
  if (!link.tls) return `The connection is in clear. Does the server speak TLS? ${USE_TLS}`;
  if (!link.showsCertificate) {
    return "The client shows no certificate: if the server wants one, set MINTONCE_CERTIFICATE_FILE.";
  }
  return "Is this client's certificate in date, and from a CA that the server trusts?";
}

/** The variable that leads the connection to a proxy; "" for none. Its value may hold a password. */
function proxyOf(link: Link, environment: Environment): string {
  if (!link.mayUseProxy || link.target.startsWith("unix:")) return "";
  const address = link.target.split("/").at(-1) ?? "";
  const host = address.slice(0, address.lastIndexOf(":"));
  const exempt = NO_PROXIES.map((name) => environment[name]).find(Boolean) ?? "";
  const isExempt = exempt.split(",").some((part) => part.trim() !== "" && host.endsWith(part.trim()));
  return isExempt ? "" : (PROXIES.find((name) => environment[name]) ?? "");
}
