#include "core/job/report_page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

namespace spillway {
namespace {

constexpr double kWidth = 860, kHeight = 260, kLeft = 78, kRight = 14, kTop = 12, kBottom = 30;
constexpr std::array<const char*, 10> kColors{"#4e79a7", "#f28e2b", "#59a14f", "#edc948",
                                              "#b07aa1", "#76b7b2", "#ff9da7", "#9c755f",
                                              "#8cd17d", "#bab0ac"};

constexpr const char* kStyle = R"(
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#6a737d;--line:#d8dee4;--paper:#fff;--card:#f6f8fa}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#8b949e;--line:#30363d;--paper:#0d1117;--card:#161b22}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:900px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0 0 .2rem}h2{font-size:1.1rem;margin:1.8rem 0 .4rem}p.sub{color:var(--soft);margin:0}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th,td{padding:.25rem .6rem;text-align:right;border-bottom:1px solid var(--line)}
th:first-child,td:first-child{text-align:left}th{color:var(--soft);font-weight:600}
details{margin-top:1.5rem}summary{cursor:pointer}pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:.8rem}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(190px,1fr));gap:.5rem;margin-top:1rem}
.facts div{background:var(--card);border-radius:6px;padding:.5rem .7rem;overflow-wrap:anywhere}.facts b{display:block;font-size:.8rem;color:var(--soft);font-weight:500}
figure{margin:0}svg{width:100%;height:auto;display:block}svg text{font:11px system-ui,sans-serif;fill:var(--soft)}svg .grid{stroke:var(--line)}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1rem;font-size:.85rem;color:var(--soft)}.legend i{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.35em;vertical-align:-1px}
)";

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

// A whole number with separators; any other text as it is.
std::string figure(const std::string& text) {
  const bool number = !text.empty() && text.size() < 19 &&
                      text.find_first_not_of("0123456789") == std::string::npos;
  return number ? grouped(std::stoull(text)) : text;
}

std::string unquoted(const std::string& json) {
  return json.size() >= 2 && json.front() == '"' ? json.substr(1, json.size() - 2) : figure(json);
}

double nice_step(double range) {
  const double raw = std::max(range, 1e-9) / 5;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (raw <= factor * power) return factor * power;
  }
  return 10 * power;
}

double nice_bytes_step(double range) {
  double step = 1024;
  while (step * 6 < range) step *= 2;
  return step;
}

// A plot's frame: scales, grid and labels; the caller adds what is drawn in it.
class Plot {
 public:
  Plot(double seconds, double top, double step, const std::function<std::string(double)>& label)
      : seconds_(std::max(seconds, 1e-3)), top_(std::max(top, 1e-9)) {
    svg_ = fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\">", kWidth, kHeight);
    for (double value = 0; value <= top_ * 1.0001; value += step) {
      svg_ += fmt::format(
          "<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
          "<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>",
          kLeft, kWidth - kRight, y(value), y(value), kLeft - 6, y(value) + 4, label(value));
    }
    const double tick = nice_step(seconds_);
    for (double at = 0; at <= seconds_ * 1.0001; at += tick) {
      svg_ += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{:g} s</text>", x(at),
                          kHeight - 10, at);
    }
  }
  double x(double at) const { return kLeft + at / seconds_ * (kWidth - kLeft - kRight); }
  double y(double value) const {
    return kHeight - kBottom - value / top_ * (kHeight - kTop - kBottom);
  }

  void line(const std::vector<std::pair<double, double>>& points, const char* color,
            const char* extra = "") {
    svg_ += fmt::format("<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.6\" {} points=\"",
                        color, extra);
    for (const auto& [at, value] : points) svg_ += fmt::format("{:.1f},{:.1f} ", x(at), y(value));
    svg_ += "\"/>";
  }
  void band(const std::vector<double>& at, const std::vector<double>& low,
            const std::vector<double>& high, const char* color) {
    svg_ += fmt::format("<polygon fill=\"{}\" fill-opacity=\"0.75\" points=\"", color);
    for (size_t i = 0; i < at.size(); ++i)
      svg_ += fmt::format("{:.1f},{:.1f} ", x(at[i]), y(high[i]));
    for (size_t i = at.size(); i-- > 0;) svg_ += fmt::format("{:.1f},{:.1f} ", x(at[i]), y(low[i]));
    svg_ += "\"/>";
  }
  void level(double value, const char* color) {
    svg_ += fmt::format(
        "<line x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" stroke-width=\"2\" "
        "stroke-dasharray=\"6 4\"/>",
        kLeft, kWidth - kRight, y(value), y(value), color);
  }
  std::string done() { return svg_ + "</svg>"; }

 private:
  double seconds_, top_;
  std::string svg_;
};

std::string legend(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string out = "<div class=\"legend\">";
  for (const auto& [name, color] : entries)
    out += fmt::format("<span><i style=\"background:{}\"></i>{}</span>", color, escaped(name));
  return out + "</div>";
}

std::string bytes_label(double value) { return to_string(Bytes(static_cast<uint64_t>(value))); }

std::string memory_plot(const ReportData& data) {
  const double limit = static_cast<double>(data.limit.count());
  double most = 0;
  for (const ReportSample& sample : data.samples)
    most = std::max(most, static_cast<double>(std::max(sample.anonymous, sample.accounted)));
  const bool show_limit = limit < most * 20 && limit > 0;
  const double top = (show_limit ? std::max(limit, most) : most) * 1.06;
  Plot plot(data.seconds, top, nice_bytes_step(top), bytes_label);
  std::vector<std::pair<std::string, std::string>> names;
  std::vector<double> at, low(data.samples.size(), 0), high(data.samples.size(), 0);
  std::vector<std::pair<double, double>> resident;
  for (const ReportSample& sample : data.samples) {
    at.push_back(sample.seconds);
    resident.emplace_back(sample.seconds, static_cast<double>(sample.anonymous));
  }
  for (size_t account = 0; account < data.accounts.size(); ++account) {
    if (data.accounts[account].peak == Bytes(0)) continue;
    for (size_t i = 0; i < data.samples.size(); ++i) {
      low[i] = high[i];
      if (account < data.samples[i].accounts.size())
        high[i] += static_cast<double>(data.samples[i].accounts[account]);
    }
    const char* const color = kColors[account % kColors.size()];
    plot.band(at, low, high, color);
    names.emplace_back(data.accounts[account].name, color);
  }
  plot.line(resident, "#e15759");
  names.emplace_back("resident (RssAnon + RssShmem)", "#e15759");
  if (show_limit) {
    plot.level(limit, "#c00");
    names.emplace_back("limit", "#c00");
  }
  return plot.done() + legend(names);
}

std::string line_plot(double seconds, const std::vector<std::pair<double, double>>& points,
                      const char* color, bool bytes) {
  double most = 0;
  for (const auto& point : points) most = std::max(most, point.second);
  if (most <= 0) return "";
  const double top = most * 1.05;
  Plot plot(seconds, top, bytes ? nice_bytes_step(top) : nice_step(top), [bytes](double value) {
    if (bytes) return bytes_label(value);
    if (value >= 1e6) return fmt::format("{:.3g} M", value / 1e6);
    if (value >= 1e3) return fmt::format("{:.3g} k", value / 1e3);
    return fmt::format("{:.3g}", value);
  });
  plot.line(points, color);
  return plot.done();
}

std::string table_html(const ReportTable& table) {
  std::string out = fmt::format("<h2>{}</h2><table><tr>", escaped(table.title));
  for (const std::string& column : table.columns) out += "<th>" + escaped(column) + "</th>";
  out += "</tr>";
  for (const auto& row : table.rows) {
    out += "<tr>";
    for (const std::string& cell : row) out += "<td>" + escaped(figure(cell)) + "</td>";
    out += "</tr>";
  }
  return out + "</table>";
}

ReportTable accounts_table(const ReportData& data) {
  ReportTable table{
      "Who held the memory", {"account", "floor", "peak", "waits", "waited", "refused"}, {}};
  for (const AccountUsage& account : data.accounts) {
    table.rows.push_back({account.name, to_string(account.floor), to_string(account.peak),
                          fmt::format("{}", account.waits),
                          fmt::format("{:.2f} s", account.waited_seconds),
                          fmt::format("{}", account.refusals)});
  }
  return table;
}

constexpr size_t kCardText = 48;  // longer facts stand at the end of the page

std::string fact_box(std::string_view name, std::string_view value) {
  return fmt::format("<div><b>{}</b>{}</div>", escaped(name), escaped(value));
}

std::string pictures_html(const ReportData& data, bool above_tables) {
  std::string html;
  for (const ReportPicture& picture : data.pictures) {
    if (picture.above_tables == above_tables)
      html += fmt::format("<h2>{}</h2><figure>{}</figure>", escaped(picture.title), picture.html);
  }
  return html;
}

}  // namespace

std::string report_page(const ReportData& data) {
  std::string page = fmt::format(
      "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"generator\" "
      "content=\"spillway " SPILLWAY_VERSION
      "\"><title>spillway "
      "{}</title><style>{}</style>"
      "<h1>spillway {}</h1><p class=\"sub\">{:.1f} s; peak {} of {} (RssAnon + RssShmem), mapped "
      "files {}</p>",
      escaped(data.command), kStyle, escaped(data.command), data.seconds,
      to_string(data.peak.counted()), to_string(data.limit), to_string(data.peak.file));
  page += "<div class=\"facts\">";
  std::string long_facts;
  for (const auto& [key, value] : data.facts) {
    if (value.size() <= kCardText) {
      page += fact_box(key, unquoted(value));
    } else {
      long_facts += fmt::format("<h3>{}</h3><pre>{}</pre>", escaped(key), escaped(unquoted(value)));
    }
  }
  page += fact_box("unaccounted peak", to_string(data.peak_unaccounted)) + "</div>";
  page += pictures_html(data, true) + "<h2>Memory over time</h2>" + memory_plot(data);

  std::vector<std::pair<double, double>> rate, spill;
  for (size_t i = 0; i < data.samples.size(); ++i) {
    spill.emplace_back(data.samples[i].seconds, static_cast<double>(data.samples[i].spilled));
    if (i == 0) continue;
    const double span = data.samples[i].seconds - data.samples[i - 1].seconds;
    if (span > 0 && data.samples[i].units >= data.samples[i - 1].units) {
      rate.emplace_back(
          data.samples[i].seconds,
          static_cast<double>(data.samples[i].units - data.samples[i - 1].units) / span);
    }
  }
  if (const std::string plot = line_plot(data.seconds, rate, "#4e79a7", false); !plot.empty())
    page += "<h2>Rate (units a second)</h2>" + plot;
  if (const std::string plot = line_plot(data.seconds, spill, "#b07aa1", true); !plot.empty())
    page += "<h2>Scratch in use</h2>" + plot;
  for (const ReportSeries& series : data.series) {
    page += fmt::format("<h2>{} ({})</h2>", escaped(series.title), escaped(series.unit)) +
            line_plot(data.seconds, series.points, "#59a14f", false);
  }
  page += table_html(accounts_table(data));
  for (const ReportTable& table : data.tables) {
    if (table.on_page) page += table_html(table);
  }
  page += pictures_html(data, false);
  if (!long_facts.empty())
    page +=
        "<details><summary>Configuration and counts in full</summary>" + long_facts + "</details>";
  return page + "</html>\n";
}

}  // namespace spillway
