#include "export/source/volume_store.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "net/objects.hpp"

namespace spillway::exporter {
namespace {

class LocalStore final : public VolumeStore {
 public:
  explicit LocalStore(std::string folder) : VolumeStore(std::move(folder)) {}
  ~LocalStore() override { close(); }

  Result<std::optional<size_t>> read(const std::string& name, uint64_t offset,
                                     std::span<uint8_t> out, const std::stop_token&) override {
    if (!TRY(open(name))) return std::optional<size_t>();
    return std::optional(TRY(fill(offset, out)));
  }
  Result<std::optional<Whole>> read_whole(const std::string& name, std::span<uint8_t> out,
                                          const std::stop_token&) override {
    Whole whole;
    if (!TRY(open(name))) {
      if (!TRY(open(name + ".gz"))) return std::optional<Whole>();
      whole.is_gzip = true;
    }
    whole.bytes = TRY(fill(0, out));
    uint8_t more;
    if (whole.bytes == out.size() && TRY(fill(whole.bytes, {&more, 1})) > 0)
      return fail(Code::kIo, fmt::format("{}: is longer than {} bytes", path_, out.size()));
    return std::optional(whole);
  }

 private:
  Result<bool> open(const std::string& name) {
    std::string path = place_ + "/" + name;
    if (fd_ >= 0 && path == path_) return true;
    close();
    fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0 && (errno == ENOENT || errno == ENOTDIR)) return false;
    if (fd_ < 0) return fail_errno("opening " + path);
    path_ = std::move(path);
    return true;
  }
  Result<size_t> fill(uint64_t offset, std::span<uint8_t> out) {
    size_t filled = 0;
    while (filled < out.size()) {
      const ssize_t got = ::pread(fd_, out.data() + filled, out.size() - filled,
                                  static_cast<off_t>(offset + filled));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return fail_errno("reading " + path_);
      if (got == 0) break;
      filled += static_cast<size_t>(got);
    }
    return filled;
  }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  std::string path_;
  int fd_ = -1;
};

class HttpStore final : public VolumeStore {
 public:
  explicit HttpStore(std::string address) : VolumeStore(std::move(address)) {}

  Result<std::optional<size_t>> read(const std::string& name, uint64_t offset,
                                     std::span<uint8_t> out, const std::stop_token& stop) override {
    return bytes_of(TRY(objects_.get_range(place_ + "/" + name, offset, out, stop)));
  }
  Result<std::optional<Whole>> read_whole(const std::string& name, std::span<uint8_t> out,
                                          const std::stop_token& stop) override {
    const auto bytes = bytes_of(TRY(objects_.get(place_ + "/" + name, out, stop)));
    if (!bytes) return std::optional<Whole>();
    return std::optional(Whole{*bytes, false});
  }

 private:
  static std::optional<size_t> bytes_of(const std::optional<net::Fetched>& fetched) {
    return fetched ? std::optional(fetched->bytes) : std::nullopt;
  }
  const net::Objects objects_;
};

}  // namespace

Result<std::unique_ptr<VolumeStore>> VolumeStore::open(const std::string& place) {
  if (net::is_http(place)) {
    TRY(net::check_address(place));
    return std::unique_ptr<VolumeStore>(
        std::make_unique<HttpStore>(place));
  }
  return std::unique_ptr<VolumeStore>(std::make_unique<LocalStore>(place));
}

}  // namespace spillway::exporter
