// The build of hls.js without subtitles, DRM and alternative audio, which it ships without types of its own.
declare module "hls.js/light" {
  export { default } from "hls.js";
}
