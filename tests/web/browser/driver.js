// Chromium, driven by a test: a JSON object a line on standard input says what to do, one on standard output what came of it.

import { createReadStream, createWriteStream, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { createBrotliDecompress } from "node:zlib";
import { extract } from "tar-fs";
import { chromium } from "playwright-core";

const modules = join(dirname(fileURLToPath(import.meta.url)), "node_modules");
const packed = join(modules, "@sparticuz", "chromium", "bin");
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

// The package brings the browser, the libraries that it needs and a font, each compressed. Unpacked once, all or nothing.
async function unpacked() {
  const folder = join(modules, ".chromium");
  if (existsSync(folder)) return folder;
  const fresh = mkdtempSync(join(modules, ".chromium-"));
  const unpack = (name, into) => pipeline(createReadStream(join(packed, name)), createBrotliDecompress(), into);
  await Promise.all([
    unpack("chromium.br", createWriteStream(join(fresh, "chromium"), { mode: 0o755 })),
    unpack("al2023.tar.br", extract(fresh)),
    unpack("fonts.tar.br", extract(fresh)),
  ]);
  writeFileSync(
    join(fresh, "fonts.conf"),
    `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig><dir prefix="relative">fonts</dir>` +
      `<dir>/usr/share/fonts</dir><alias binding="strong"><family>system-ui</family><prefer><family>Open Sans</family></prefer></alias>` +
      `<alias binding="strong"><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>` +
      `</fontconfig>`,
  );
  try {
    renameSync(fresh, folder);
  } catch {
    rmSync(fresh, { recursive: true }); // another test was faster
  }
  return folder;
}

async function launched() {
  const own = process.env.MINTONCE_TEST_CHROMIUM;
  if (own) return chromium.launch({ executablePath: own, args: ["--no-sandbox"] });
  const folder = await unpacked();
  const env = { ...process.env, LD_LIBRARY_PATH: join(folder, "lib"), FONTCONFIG_FILE: join(folder, "fonts.conf") };
  const executablePath = join(folder, "chromium");
  // No sandbox: it needs rights that containers do not have. The pages are our own.
  return chromium.launch({ executablePath, env, args: ["--no-sandbox", "--disable-gpu", "--font-render-hinting=none"] });
}

const browser = await launched();
let page = null;
let said = [];

const acts = {
  async open({ url, scheme, width, height, script = true, headers = {} }) {
    if (page) await page.context().close();
    said = [];
    const context = await browser.newContext({
      viewport: { width, height },
      colorScheme: scheme,
      javaScriptEnabled: script,
      extraHTTPHeaders: headers,
    });
    page = await context.newPage();
    page.setDefaultTimeout(15000);
    page.on("console", (message) => said.push(`${message.type()}: ${message.text()}`));
    page.on("pageerror", (error) => said.push(`error: ${error}`));
    page.on("requestfailed", (request) => said.push(`failed: ${request.url()}`));
    const answer = await page.goto(url);
    return answer.status();
  },
  evaluate: ({ script }) => page.evaluate(script),
  press: ({ key }) => page.keyboard.press(key),
  said: () => said,
  async resize({ width, height }) {
    await page.setViewportSize({ width, height });
  },
  async screenshot({ path, whole }) {
    await page.screenshot({ path, fullPage: whole, animations: "disabled" });
  },
  async audit() {
    await page.evaluate(axe);
    const found = await page.evaluate("axe.run(document)");
    return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" | ")}`);
  },
};

console.log(JSON.stringify({ version: browser.version() }));
for await (const line of createInterface({ input: process.stdin })) {
  const { act, ...values } = JSON.parse(line);
  let answer;
  try {
    answer = { result: (await acts[act](values)) ?? null };
  } catch (error) {
    answer = { error: String(error) };
  }
  console.log(JSON.stringify(answer));
}
await browser.close();
