// Whether this browser can decode a codec, and its name for people.

/** Returns the name of what this browser cannot decode, or null. `codec` is by RFC 6381. */
export function undecodable(codec: string | null | undefined): string | null {
  if (!codec || !("MediaSource" in window)) return null;
  return MediaSource.isTypeSupported(`video/mp4; codecs="${codec}"`) ? null : codecName(codec);
}

/** `H.264 4:4:4` for `avc1.f40028`. Pure. */
export function codecName(codec: string): string {
  const [name = "", details = ""] = codec.toLowerCase().split(".");
  if (name === "avc1" || name === "avc3") {
    const profile = details.slice(0, 2);
    return { f4: "H.264 4:4:4", "7a": "H.264 4:2:2", "6e": "H.264 with 10 bits" }[profile] ?? "H.264";
  }
  if (name === "hvc1" || name === "hev1") return "H.265";
  return name === "av01" ? "AV1" : codec;
}

export const undecodableText = (name: string): string =>
  `This browser cannot decode ${name}. Download the recording, or open this page in another browser.`;
