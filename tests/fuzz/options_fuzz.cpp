// Sizes and durations of the command line: any text is a value or kUsage, with a message.
#include "cli/options.hpp"
#include "core/bytes.hpp"
#include "fuzz.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = text_of({data, size});
  if (const auto bytes = spillway::parse_bytes(text)) {
    // What is printed of it is read again, as about the same.
    const auto again = spillway::parse_bytes(spillway::to_string(*bytes));
    MUST(again);
    const double ratio =
        (static_cast<double>(again->count()) + 1) / (static_cast<double>(bytes->count()) + 1);
    MUST(ratio > 0.9 && ratio < 1.1);
  } else {
    MUST(bytes.error().code() == spillway::Code::kUsage && !bytes.error().message().empty());
  }
  const auto duration = spillway::cli::parse_duration(text);
  MUST(duration ? duration->count() >= 0 : duration.error().code() == spillway::Code::kUsage);
  return 0;
}
