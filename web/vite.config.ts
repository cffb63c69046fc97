// The build: everything that the page loads lies in dist/, under names that carry their hash, and nothing is inline, so that
// the strict content security policy of docs/player.md holds.
import { readFileSync } from "node:fs";
import { defineConfig, type Plugin } from "vite";

/** What ships of other people's, with the text that must go with it. */
const others = [
  ["hls.js", "node_modules/hls.js/LICENSE"],
  ["Inter", "node_modules/@fontsource-variable/inter/LICENSE"],
] as const;

function licenses(): Plugin {
  return {
    name: "licenses",
    generateBundle() {
      const source = others
        .map(([name, file]) => {
          const version = JSON.parse(readFileSync(file.replace("LICENSE", "package.json"), "utf8")).version;
          return `${name} ${version}\n\n${readFileSync(file, "utf8")}`;
        })
        .join("\n\n----\n\n");
      this.emitFile({ type: "asset", fileName: "licenses.txt", source });
    },
  };
}

export default defineConfig({
  base: "./",
  plugins: [licenses()],
  build: {
    target: "es2022",
    // A data: URL would need a hole in the policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // hls.js alone is larger than Vite likes a file to be; it is loaded when the first recording is opened.
    chunkSizeWarningLimit: 700,
  },
});
