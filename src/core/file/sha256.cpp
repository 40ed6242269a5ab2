#include "core/file/sha256.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <vector>

#include "core/file/file.hpp"

namespace spillway {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  State() { begin(); }
  ~State() { EVP_MD_CTX_free(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  void begin() { CHECK(EVP_DigestInit_ex(context, EVP_sha256(), nullptr) == 1); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::add(std::span<const uint8_t> bytes) {
  CHECK(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1);
}

std::string Sha256::hex() {
  std::array<uint8_t, 32> digest;
  unsigned size = 0;
  CHECK(EVP_DigestFinal_ex(state_->context, digest.data(), &size) == 1 && size == digest.size());
  state_->begin();
  std::string text;
  for (const uint8_t byte : digest) text += fmt::format("{:02x}", byte);
  return text;
}

std::string checksum_line(const std::string& sha256, const std::string& name) {
  return fmt::format("{}  {}\n", sha256, name);
}

Result<std::string> sha256_of_file(const std::string& path, const std::stop_token& stop) {
  File file = TRY(File::open(path));
  Sha256 hash;
  std::vector<uint8_t> buffer(size_t{256} << 10);
  while (const size_t got = TRY(file.read(buffer, stop))) {
    hash.add(std::span<const uint8_t>(buffer).first(got));
  }
  return hash.hex();
}

}  // namespace spillway
