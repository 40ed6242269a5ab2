#include "cli/transform_command.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>

#include "core/memory/procstat.hpp"

#ifdef SPILLWAY_HAVE_RDKIT
#include "transform/chemistry/rule_examples.hpp"
#include "transform/job/apply.hpp"
#include "transform/job/rdkit_chemistry.hpp"
#include "transform/job/stats.hpp"
#include "transform/job/verify.hpp"
#include "transform/merge/merge.hpp"
#endif

namespace spillway::cli {

struct TransformCommand::Words {
  CommonOptions apply_common, merge_common, read_common;
  std::vector<std::string> inputs, rules, known, carry, smiles_columns, merge_inputs;
  std::vector<std::string> verify_files;
  std::string rules_file, out, descriptors = "none", fragments = "keep", chemistry = "flat",
                               order = "key", rejects, resume = "auto", merge_resume = "auto",
                               merge_out, check, stats_file, rows, delimiter, encoding = "utf-8";
  uint64_t limit = 0;
  unsigned steps = 1;
  bool inchikey = false, no_header = false, known_stops = false;
};

namespace {

constexpr const char* kDescription =
    "Chemical transforms over libraries of molecules, every product once, in the memory you give.";

constexpr const char* kFooter = R"(Examples:
  spillway transform apply library.parquet --rule FG_PHENOL_OH__OH__TO__OMe --out products.parquet
  spillway transform apply a.smi.gz b.csv --rule halogenation --steps 2 --memory 512MiB --out library2.parquet
  spillway transform apply new.smi --rule all --known library2.parquet --rejects refused.tsv.gz --out more.parquet
  spillway transform merge library2.parquet more.parquet --out both.parquet
  spillway transform rules
  spillway transform stats both.parquet
  spillway transform verify both.parquet)";

constexpr const char* kApplyFooter =
    R"(Inputs: .parquet, .smi, .csv, .tsv, .sdf, all but the first also .gz, .bz2 and .zst; files, folders and globs, read in
the order given.
The output is a function of inputs, rules and options: not of memory, threads or interruptions. A run that is killed or
out of disk is continued by the same command; what it needs for that is in OUT.spillway/ until then.
Columns: smiles, rule, site_index (of the rule's matches in the molecule, from 0), site_atoms (the atoms of source_smiles
that the rule's mapped atoms matched, in order of map numbers, from 0), source_smiles, source_row (from 0, over all
files), source_file; with --steps root_row (the row of the molecule that the first step began with) and route (RULE@SITE
of each step, as in "R1_F@2 > R1_Cl@0"); k (the step), n_F, n_Cl, n_Br, n_I; then descriptors and what --carry takes.)";

constexpr const char* kVerifyFooter =
    R"(Every byte is held against the file's checksums and every page is read; rows that are in key order must ascend, so
that none is there twice, and be as many as the run counted. Exit 1 and the place (row group, column, page) of damage in
any of the files.)";

#ifdef SPILLWAY_HAVE_RDKIT
std::vector<std::string> split(const std::vector<std::string>& words) {
  std::vector<std::string> parts;
  for (const std::string& word : words) {
    size_t begin = 0;
    while (begin <= word.size()) {
      const size_t end = std::min(word.find(',', begin), word.size());
      if (end > begin) parts.push_back(word.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  return parts;
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}
#endif

}  // namespace

TransformCommand::TransformCommand() : words_(std::make_unique<Words>()) {}
TransformCommand::~TransformCommand() = default;

void TransformCommand::add_to(CLI::App& app) {
  Words& words = *words_;
  const auto add_memory = [&](CLI::App& to) {
    to.add_option("--memory", words.read_common.memory,
                  "limit on the process's memory, as for apply")
        ->type_name("SIZE|P%");
  };
  app_ = app.add_subcommand("transform", kDescription);
  app_->require_subcommand(1);
  app_->footer(kFooter);

  apply_ = app_->add_subcommand("apply", "apply rules to molecules and write the products");
  apply_->add_option("IN", words.inputs, "files, folders and globs of molecules")->required();
  apply_->add_option("--rules", words.rules_file, "YAML file of rules (default: the shipped one)")
      ->type_name("FILE");
  apply_
      ->add_option("--rule", words.rules,
                   "which rules: names, families, all; lists with commas, may be repeated")
      ->type_name("NAME|FAMILY|all")
      ->required();
  apply_->add_option("--out", words.out, "the products, as Parquet")->type_name("FILE");
  apply_
      ->add_option("--known", words.known,
                   "leave out what is in this file of molecules (any kind of IN); may be "
                   "repeated. With --steps the rules are applied to it all the same")
      ->type_name("FILE");
  apply_->add_flag("--known-stops", words.known_stops,
                   "with --steps: do not apply the rules to what --known leaves out");
  apply_
      ->add_option("--steps", words.steps, "apply the rules to the products again, K times in all")
      ->type_name("K")
      ->check(CLI::Range(1u, 100u));
  apply_
      ->add_option("--descriptors", words.descriptors,
                   "basic adds mw, hbd, hba, rotb; all adds tpsa, clogp too")
      ->type_name("none|basic|all")
      ->check(CLI::IsMember({"none", "basic", "all"}));
  apply_->add_flag("--inchikey", words.inchikey, "add the InChIKey");
  apply_
      ->add_option("--fragments", words.fragments,
                   "keep fragments of the input that no rule touched, or only the one that "
                   "reacted")
      ->type_name("keep|matched")
      ->check(CLI::IsMember({"keep", "matched"}));
  apply_
      ->add_option("--chemistry", words.chemistry,
                   "flat: plain molecules as flat arrays, RDKit for all others; rdkit: RDKit for "
                   "all; the same products, ten times slower")
      ->type_name("flat|rdkit")
      ->check(CLI::IsMember({"flat", "rdkit"}));
  apply_->add_option("--order", words.order, "of the rows: by key (a hash), or as the inputs are")
      ->type_name("key|input")
      ->check(CLI::IsMember({"key", "input"}));
  apply_
      ->add_option(
          "--carry", words.carry,
          "columns of the input to take along; name: what stands behind a SMILES, an SDF's titles")
      ->type_name("A,B|none|all");
  apply_
      ->add_option("--smiles-column", words.smiles_columns,
                   "the column with the molecules: its name, or in CSV its number from 1; may be "
                   "repeated for CSV (default: smiles, or the one with a usual name)")
      ->type_name("NAME|N");
  apply_->add_flag("--no-header", words.no_header,
                   "CSV without a line of names; columns are numbers");
  apply_
      ->add_option("--delimiter", words.delimiter,
                   "of CSV (default: tabs in .tsv, else what the first line has)")
      ->type_name(",|;|tab")
      ->check(CLI::IsMember({",", ";", "tab", "\t"}));
  apply_
      ->add_option("--encoding", words.encoding,
                   "of text without a byte order mark (default: utf-8)")
      ->type_name("utf-8|utf-16|latin-1")
      ->check(CLI::IsMember({"utf-8", "utf-16", "latin-1"}));
  apply_
      ->add_option("--rows", words.rows,
                   "only these rows of the input, counted from 0 over all files: from A up to B, "
                   "without B; either may be left out")
      ->type_name("A..B");
  apply_->add_option("--limit", words.limit, "only the first N rows, of those of --rows")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  apply_
      ->add_option("--rejects", words.rejects,
                   "write the rows and sites that were refused, tab-separated (.gz)")
      ->type_name("FILE");
  apply_
      ->add_option("--resume", words.resume,
                   "continue what a killed run left, and leave a finished one as it is (auto), or "
                   "do it again (never)")
      ->type_name("auto|never")
      ->check(CLI::IsMember({"auto", "never"}));
  words.apply_common.job.threads = default_threads();
  words.apply_common.add_to(*apply_);
  apply_->footer(kApplyFooter);

  merge_ = app_->add_subcommand(
      "merge", "one file of several; of equal molecules the one of the file named first stays");
  merge_->add_option("FILE", words.merge_inputs, "Parquet files that apply wrote")->required();
  merge_->add_option("--out", words.merge_out, "the merged file")->type_name("FILE")->required();
  merge_
      ->add_option(
          "--resume", words.merge_resume,
          "continue what a killed run left, and leave a finished one as it is (auto), or do it "
          "again (never)")
      ->type_name("auto|never")
      ->check(CLI::IsMember({"auto", "never"}));
  words.merge_common.job.threads = 1;
  words.merge_common.add_to(*merge_);

  rules_ = app_->add_subcommand("rules", "list the rules, or check a file of them");
  rules_->add_option("--rules", words.rules_file, "YAML file of rules (default: the shipped one)")
      ->type_name("FILE");
  rules_->add_option("--check", words.check, "only say whether this file is right")
      ->type_name("FILE");
  rules_->add_option("--rule", words.rules, "explain these in full")->type_name("NAME|FAMILY|all");

  stats_ = app_->add_subcommand("stats", "count the rows of a file by rule, step and halogen");
  stats_->add_option("FILE", words.stats_file, "a Parquet file that apply or merge wrote")
      ->required();
  add_memory(*stats_);

  verify_ = app_->add_subcommand(
      "verify", "whether files that apply or merge wrote are whole and what they say they are");
  verify_->add_option("FILE", words.verify_files, "Parquet files that apply or merge wrote")
      ->required();
  add_memory(*verify_);
  verify_->footer(kVerifyFooter);
}

bool TransformCommand::chosen() const { return app_->parsed(); }

Result<void> TransformCommand::run(std::stop_token stop) {
  if (apply_->parsed()) return apply(std::move(stop));
  if (merge_->parsed()) return merge(std::move(stop));
  if (rules_->parsed()) return rules();
  if (verify_->parsed()) return verify(std::move(stop));
  return stats(stop);
}

#ifdef SPILLWAY_HAVE_RDKIT

Result<void> TransformCommand::apply(std::stop_token stop) {
  const Words& words = *words_;
  transform::ApplyOptions options;
  options.job = TRY(words.apply_common.finish());
  options.inputs = words.inputs;
  options.out = words.out;
  options.known = words.known;
  options.known_stops = words.known_stops;
  if (words.known_stops && words.known.empty())
    return fail(Code::kUsage,
                "--known-stops: says what becomes of the molecules of --known, which is not given");
  options.steps = words.steps;
  options.transform.descriptors = words.descriptors == "all"     ? transform::Descriptors::kAll
                                  : words.descriptors == "basic" ? transform::Descriptors::kBasic
                                                                 : transform::Descriptors::kNone;
  options.transform.inchikey = words.inchikey;
  options.transform.flat = words.chemistry == "flat";
  options.transform.fragments =
      words.fragments == "matched" ? transform::Fragments::kMatched : transform::Fragments::kKeep;
  options.order =
      words.order == "input" ? transform::OutputOrder::kInput : transform::OutputOrder::kKey;
  options.rows.text_columns = words.smiles_columns;
  options.rows.header = !words.no_header;
  if (!words.delimiter.empty())
    options.rows.delimiter = words.delimiter == "tab" ? '\t' : words.delimiter[0];
  options.rows.encoding = words.encoding == "latin-1"  ? format::TextEncoding::kLatin1
                          : words.encoding == "utf-16" ? format::TextEncoding::kUtf16
                                                       : format::TextEncoding::kUtf8;
  const std::vector<std::string> carry = split(words.carry);
  if (carry == std::vector<std::string>{"all"})
    options.rows.carry_all = true;
  else if (carry != std::vector<std::string>{"none"})
    options.rows.carry = carry;
  if (!words.rows.empty()) options.rows_chosen = TRY(transform::parse_row_range(words.rows));
  if (words.limit > 0 && words.limit < options.rows_chosen.end - options.rows_chosen.first)
    options.rows_chosen.end = options.rows_chosen.first + words.limit;
  options.rejects = words.rejects;
  options.resume = words.resume != "never";
  const std::string file =
      words.rules_file.empty() ? TRY(transform::standard_rules_path()) : words.rules_file;
  const auto all = TRY(transform::RuleSet::load(file));
  const auto chosen_rules = TRY(all->select(words.rules));
  options.rule_memory = transform::Transformer::memory_for(*chosen_rules);
  if (options.job.explain_memory) {
    fmt::print("{}", TRY(transform::explain_memory(options)));
    return {};
  }
  if (options.out.empty()) return fail(Code::kUsage, "--out is required: where the products go");
  const auto chemistry = TRY(transform::rdkit_chemistry(chosen_rules, options.transform));
  say_memory_limit(options.job);
  const auto begin = std::chrono::steady_clock::now();
  const transform::ApplySummary summary = TRY(transform::apply(chemistry, options, stop));
  const transform::Counts& counts = summary.counts;
  const transform::RuleTally total = counts.total();
  fmt::print("{} rows: {} with products, {} without a site, {} refused\n", grouped(counts.rows_in),
             grouped(counts.rows_ok), grouped(counts.rows_no_site), grouped(counts.rows_failed));
  fmt::print("{} sites: {} products, {} refused\n", grouped(total.sites), grouped(total.products),
             grouped(total.sites - total.products));
  fmt::print("{} products: {} unique, {} duplicates, {} known\n", grouped(total.products),
             grouped(total.unique), grouped(total.duplicates), grouped(total.known));
  if (summary.known_unread > 0)
    fmt::print("{} rows of the --known files are no molecules\n", grouped(summary.known_unread));
  if (summary.known_too_long > 0)
    fmt::print("{} rows of the --known files are too long to be compared\n",
               grouped(summary.known_too_long));
  if (summary.was_finished) {
    fmt::print("finished before; {} rows in {} (--resume never does it again)\n",
               grouped(summary.rows_written), summary.out);
    return {};
  }
  fmt::print("{:.2f} s, peak memory {}; {} rows in {}\n", seconds_since(begin),
             to_string(summary.peak_memory), grouped(summary.rows_written), summary.out);
  return {};
}

Result<void> TransformCommand::merge(std::stop_token stop) {
  const Words& words = *words_;
  transform::MergeOptions options;
  options.job = TRY(words.merge_common.finish());
  options.inputs = words.merge_inputs;
  options.out = words.merge_out;
  options.resume = words.merge_resume != "never";
  say_memory_limit(options.job);
  const auto begin = std::chrono::steady_clock::now();
  const transform::MergeSummary summary = TRY(transform::merge(options, stop));
  fmt::print("{} rows: {} unique, {} duplicates\n", grouped(summary.rows_in),
             grouped(summary.unique), grouped(summary.rows_in - summary.unique));
  if (summary.was_finished) {
    fmt::print("finished before; {} rows in {} (--resume never does it again)\n",
               grouped(summary.unique), options.out);
    return {};
  }
  fmt::print("{:.2f} s, peak memory {}; {} rows in {}\n", seconds_since(begin),
             to_string(summary.peak_memory), grouped(summary.unique), options.out);
  return {};
}

Result<void> TransformCommand::rules() {
  const Words& words = *words_;
  if (!words.check.empty()) {
    const auto checked = TRY(transform::RuleSet::load(words.check));
    const size_t examples = TRY(transform::check_examples(*checked));
    fmt::print("{}: {} rules, all right; {} examples give what they say\n", words.check,
               checked->rules().size(), examples);
    return {};
  }
  const std::string file =
      words.rules_file.empty() ? TRY(transform::standard_rules_path()) : words.rules_file;
  auto set = TRY(transform::RuleSet::load(file));
  const bool in_full = !words.rules.empty();
  if (in_full) set = TRY(set->select(words.rules));
  for (const transform::Rule& rule : set->rules()) {
    if (!in_full) {
      fmt::print("{:<36} {:<16} {}\n", rule.name, rule.family, rule.label);
      continue;
    }
    fmt::print("{}\n  family   {}\n  label    {}\n  SMIRKS   {}\n", rule.name, rule.family,
               rule.label, rule.smirks);
    fmt::print("  finds    {}\n", rule.query_smarts);
    if (!rule.description.empty()) fmt::print("  {}\n", rule.description);
    if (!rule.example.in.empty())
      fmt::print("  example  {} -> {}\n", rule.example.in, fmt::join(rule.example.out, ", "));
  }
  return {};
}

Result<void> TransformCommand::stats(const std::stop_token& stop) {
  const Bytes memory = TRY(words_->read_common.finish()).memory;
  fmt::print("{}", TRY(transform::stats_text(words_->stats_file, memory, stop)));
  return {};
}

Result<void> TransformCommand::verify(std::stop_token stop) {
  const Bytes memory = TRY(words_->read_common.finish()).memory;
  std::optional<Error> first;
  for (const std::string& file : words_->verify_files) {
    auto text = transform::verify_text(file, memory, stop);
    if (text)
      fmt::print("{}", *text);
    else if (!first)
      first = std::move(text).error();
    else
      fmt::print(stderr, "spillway: {}\n", text.error().message());
    if (stop.stop_requested()) break;
  }
  if (first) return fail(std::move(*first));
  return {};
}

#else

namespace {
tl::unexpected<Error> no_rdkit() {
  return fail(
      Code::kUsage,
      "this build has no RDKit, which transform needs: install librdkit-dev (Debian: apt-get "
      "install librdkit-dev rdkit-data), then ./run build; or configure with "
      "-DSPILLWAY_RDKIT=ON");
}
}  // namespace
Result<void> TransformCommand::apply(std::stop_token) { return no_rdkit(); }
Result<void> TransformCommand::merge(std::stop_token) { return no_rdkit(); }
Result<void> TransformCommand::rules() { return no_rdkit(); }
Result<void> TransformCommand::stats(const std::stop_token&) { return no_rdkit(); }
Result<void> TransformCommand::verify(std::stop_token) { return no_rdkit(); }

#endif

}  // namespace spillway::cli
