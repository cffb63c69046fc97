// Builds the page into dist/. File names carry their hash, and nothing is inline, as the content security
// policy of docs/player.md demands.
import { readFileSync } from "node:fs";
import { defineConfig, type Plugin } from "vite";

/** Third-party code and fonts that ship, with their license texts. */
const thirdParty = [
  ["hls.js", "node_modules/hls.js/LICENSE"],
  ["Inter", "node_modules/@fontsource-variable/inter/LICENSE"],
] as const;

function licenses(): Plugin {
  return {
    name: "licenses",
    generateBundle() {
      const source = thirdParty
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
    // A data: URL would need an exception in the policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // hls.js alone exceeds Vite's default of 500 kB; it is loaded with the first recording.
    chunkSizeWarningLimit: 700,
  },
});
