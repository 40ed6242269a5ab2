#include "export/shard/histogram.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

namespace spillway::exporter {

void Histogram::add(uint64_t value) {
  ++buckets_[std::min<size_t>(static_cast<size_t>(std::bit_width(value)), buckets_.size() - 1)];
  ++count_;
}

void Histogram::join(const Histogram& other) {
  for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
}

std::array<size_t, 2> Histogram::used() const {
  size_t first = 0, end = buckets_.size();
  while (first < end && buckets_[first] == 0) ++first;
  while (end > first && buckets_[end - 1] == 0) --end;
  return {first, end};
}

std::string Histogram::limit(size_t bucket) const {
  const uint64_t value = uint64_t{1} << bucket;
  return unit_ == Unit::kBytes ? to_string(Bytes(value)) : grouped(value);
}

ReportTable Histogram::table(std::string title, std::string what) const {
  ReportTable table{std::move(title), {"below", std::move(what)}, {}};
  const auto [first, end] = used();
  for (size_t i = first; i < end; ++i) table.rows.push_back({limit(i), grouped(buckets_[i])});
  return table;
}

std::string Histogram::bars() const {
  const auto [first, end] = used();
  if (first == end) return "";
  constexpr double kWidth = 860, kHeight = 170, kBase = 138, kTop = 18, kMostBar = 90;
  const double step = std::min(kMostBar, kWidth / static_cast<double>(end - first));
  const auto most = static_cast<double>(*std::max_element(buckets_.begin(), buckets_.end()));
  std::string svg = fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\">", kWidth, kHeight);
  for (size_t i = first; i < end; ++i) {
    const double x = static_cast<double>(i - first) * step;
    const double height = (kBase - kTop) * static_cast<double>(buckets_[i]) / most;
    svg += fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"#4e79a7\"/>"
        "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>"
        "<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">&lt; {}</text>",
        x + 3, kBase - height, step - 6, height, x + step / 2, kBase - height - 4,
        buckets_[i] > 0 ? grouped(buckets_[i]) : "", x + step / 2, kBase + 16, limit(i));
  }
  return svg + fmt::format("<line class=\"grid\" x1=\"0\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/></svg>",
                           kWidth, kBase, kBase);
}

}  // namespace spillway::exporter
