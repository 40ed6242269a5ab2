// Any bytes are a manifest.json or an error. With a first byte that is odd its own hash is made right, so that what
// lies behind that is reached.
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "core/file/sha256.hpp"
#include "export/job/manifest.hpp"
#include "fuzz.hpp"

using namespace spillway;
using namespace spillway::exporter;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string text(text_of({data + 1, size - 1}));
  if (data[0] % 2 == 1) {
    Sha256 hash;
    hash.add({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
    text += "\"sha256\": \"" + hash.hex() + "\"\n}\n";
  }
  static const int file = ::memfd_create("manifest", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  MUST(::ftruncate(file, 0) == 0 &&
       ::pwrite(file, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  size_t shards = 0;
  const auto manifest = read_manifest(path, [&](const ManifestShard&) -> Result<void> {
    ++shards;
    return {};
  });
  MUST(shards <= text.size());
  MUST(manifest || !manifest.error().message().empty());
  return 0;
}
