// What is this platform called, and the core for it?

const FLAVOURS = { darwin: "", linux: libc(), win32: "-msvc" };

function libc() {
  if (process.platform !== "linux") return "";
  return process.report.getReport().header.glibcVersionRuntime ? "-gnu" : "-musl";
}

/** As npm packages of native code are called. */
export const platform = `${process.platform}-${process.arch}${FLAVOURS[process.platform] ?? ""}`;
/** The file Node.js loads. */
export const core = `outlay.${platform}.node`;
