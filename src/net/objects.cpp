#include "net/objects.hpp"

#include <fmt/format.h>

namespace spillway::net {
namespace {

bool is_weak(std::string_view etag) { return etag.starts_with("W/"); }

// A weak one has no If-Match: it is compared behind.
void demand(Request& request, std::string_view etag) {
  if (!etag.empty() && !is_weak(etag)) request.headers.push_back({"If-Match", std::string(etag)});
}

Error changed(const std::string& address) {
  return Error(Code::kConflict, redacted(address) +
                                    ": was changed while it was read; run the same command again "
                                    "when nobody writes there");
}

// None: no such object.
Result<std::optional<ReplyHead>> send(const HttpClient& client, const Request& request,
                                      ReplySink& sink, const std::stop_token& stop,
                                      std::string_view etag) {
  auto head = client.send(request, &sink, stop);
  if (!head && head.error().code() == Code::kNotFound) return std::optional<ReplyHead>();
  if (!head && head.error().code() == Code::kConflict && !etag.empty())
    return fail(changed(request.address));
  ReplyHead found = TRY(std::move(head));
  if (!etag.empty() && !found.etag().empty() && found.etag() != etag)
    return fail(changed(request.address));
  return std::optional(std::move(found));
}

// A server that does not know ranges sends all of it: that is read only where it is what was asked.
class RangeSink final : public ReplySink {
 public:
  RangeSink(uint64_t offset, std::span<uint8_t> room)
      : takes_whole_(offset == 0), room_(room.size()), span_(room) {}
  Result<void> begin(const ReplyHead& head) override {
    const bool is_short =
        takes_whole_ && head.status == 200 && head.length.value_or(room_ + 1) <= room_;
    if (head.status != 206 && !is_short)
      return fail(Code::kInvalid,
                  "the server does not serve byte ranges; copy the volume to a disk first");
    return span_.begin(head);
  }
  Result<bool> take(std::span<const uint8_t> bytes) override { return span_.take(bytes); }
  size_t used() const { return span_.used(); }

 private:
  const bool takes_whole_;
  const uint64_t room_;
  SpanSink span_;
};

Fetched fetched(const ReplyHead& head, size_t bytes) {
  return {.bytes = bytes,
          .etag = std::string(head.etag()),
          .last_modified = std::string(head.header("Last-Modified"))};
}

}  // namespace

Result<std::optional<Fetched>> Objects::get(const std::string& address, std::span<uint8_t> out,
                                            const std::stop_token& stop,
                                            std::string_view etag) const {
  Request request{.address = address, .takes_off_coding = true};
  demand(request, etag);
  SpanSink sink(out);
  const auto head = TRY(send(client_, request, sink, stop, etag));
  if (!head) return std::optional<Fetched>();
  Fetched whole = fetched(*head, sink.used());
  whole.size = sink.used();
  return std::optional(std::move(whole));
}

Result<std::optional<Fetched>> Objects::get_range(const std::string& address, uint64_t offset,
                                                  std::span<uint8_t> out,
                                                  const std::stop_token& stop,
                                                  std::string_view etag) const {
  if (out.empty()) return std::optional(Fetched{});
  Request request{.address = address, .also = 416};
  request.headers.push_back({"Range", fmt::format("bytes={}-{}", offset, offset + out.size() - 1)});
  request.headers.push_back({"Accept-Encoding", "identity"});
  demand(request, etag);
  RangeSink sink(offset, out);
  const auto head = TRY(send(client_, request, sink, stop, etag));
  if (!head) return std::optional<Fetched>();
  Fetched part = fetched(*head, sink.used());
  if (head->status == 416) return std::optional(std::move(part));
  if (head->status == 200) {
    part.size = part.bytes;
    return std::optional(std::move(part));
  }
  const auto& range = head->range;
  const bool is_asked = range && range->first == offset && range->last - offset < out.size() &&
                        part.bytes == range->last - offset + 1;
  // Fewer bytes than asked for are the object's end only where its size says so.
  if (!is_asked || (part.bytes < out.size() && range->size != range->last + 1))
    return fail(Code::kInvalid,
                redacted(address) +
                    ": the server sent another range than it was asked for; copy the volume to a "
                    "disk first");
  part.size = range->size;
  return std::optional(std::move(part));
}

}  // namespace spillway::net
