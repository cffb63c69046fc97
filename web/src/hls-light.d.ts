// The build of hls.js without subtitles, DRM and alternative audio. It has the types of the full build and
// ships none.
declare module "hls.js/light" {
  export { default } from "hls.js";
}
