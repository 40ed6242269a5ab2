#include "format/rows/row_reader.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <zlib.h>

#include <fstream>

#include "core/test_folder.hpp"
#include "format/parquet/parquet_writer.hpp"

namespace spillway::format {
namespace {

struct Cell {
  std::optional<std::string> text;
  std::string problem;
  std::vector<std::optional<std::string>> carried;
  friend bool operator==(const Cell&, const Cell&) = default;
};

class RowReaderTest : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& content) {
    const std::string path = folder_.path() + "/" + name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  std::string write_gzip(const std::string& name, const std::string& content) {
    const std::string path = folder_.path() + "/" + name;
    gzFile file = ::gzopen(path.c_str(), "wb");
    ::gzwrite(file, content.data(), static_cast<unsigned>(content.size()));
    ::gzclose(file);
    return path;
  }
  static Account account() {
    static const auto budget = Budget::create(64_MiB);
    static int number = 0;
    return *budget->open({"test " + std::to_string(number++), 0, Bytes(0), std::nullopt});
  }
  // All text columns that are carried are strings.
  static Result<std::vector<Cell>> read(const std::string& path, const RowOptions& options = {}) {
    auto reader = TRY(RowReader::open(path, options, account()));
    std::vector<Cell> cells;
    InputRow row;
    while (TRY(reader->next(row))) {
      Cell cell;
      if (row.text) cell.text = std::string(*row.text);
      cell.problem = row.problem;
      ValueReader values(row.carried);
      for (size_t i = 0; i < reader->carried().size(); ++i) {
        cell.carried.push_back(values.null() ? std::optional<std::string>()
                                             : std::string(values.text()));
      }
      cells.push_back(std::move(cell));
    }
    return cells;
  }
  static std::vector<std::string> texts(const std::string& path, const RowOptions& options = {}) {
    const auto cells = read(path, options);
    if (!cells) return {"error: " + cells.error().message()};
    std::vector<std::string> texts;
    for (const Cell& cell : *cells) texts.push_back(cell.text.value_or("<null>"));
    return texts;
  }
  static std::string error(const std::string& path, const RowOptions& options = {}) {
    const auto cells = read(path, options);
    return cells ? "" : cells.error().message();
  }
  TestFolder folder_;
};

using Texts = std::vector<std::string>;

TEST_F(RowReaderTest, TakesTheFirstTokenOfASmilesLine) {
  const auto path = write("a.smi", "CCO\tethanol\r\n\n# remark\n  c1ccccc1 |x| name\nN");
  EXPECT_EQ(texts(path), (Texts{"CCO", "c1ccccc1", "N"}));
}

TEST_F(RowReaderTest, ReadsGzipOfSeveralMembers) {
  const auto path = write_gzip("a.smi.gz", "CCO\nCC");
  const auto more = write_gzip("b.smi.gz", "N\nO\n");
  std::ifstream second(more, std::ios::binary);
  std::ofstream(path, std::ios::binary | std::ios::app) << second.rdbuf();
  EXPECT_EQ(texts(path), (Texts{"CCO", "CCN", "O"}));
}

TEST_F(RowReaderTest, NoticesGzipCutShortAtEachByte) {
  const auto whole = write_gzip("a.smi.gz", "CCO\nCCCCC\nN\n");
  std::ifstream file(whole, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  for (size_t size = 0; size < bytes.size(); ++size) {
    const auto path = write("cut.smi.gz", bytes.substr(0, size));
    EXPECT_NE(error(path).find("cut short"), std::string::npos) << size << ": " << error(path);
  }
}

TEST_F(RowReaderTest, ReadsQuotedFieldsAndBothLineEnds) {
  const auto path = write("a.csv", "id,smiles\r\n1,\"C,C\"\r\n2,\"say\"\"hi\"\"\nN\"\n3,\n");
  EXPECT_EQ(texts(path), (Texts{"C,C", "say\"hi\"\nN", "<null>"}));
}

TEST_F(RowReaderTest, ReadsSeveralColumnsLeftToRightWithinARow) {
  const auto path = write("a.csv", "A,CC,B,N\nC,O,D,S\n");
  RowOptions options;
  options.header = false;
  options.text_columns = {"4", "2"};
  EXPECT_EQ(texts(path, options), (Texts{"CC", "N", "O", "S"}));
}

TEST_F(RowReaderTest, CarriesColumnsOfACsv) {
  const auto path = write("a.csv", "id,smiles,note\n1,CC,\n2,N,\"a,b\"\n");
  RowOptions options;
  options.carry = {"note", "id"};
  const auto cells = read(path, options);
  ASSERT_TRUE(cells);
  EXPECT_EQ((*cells)[0].carried, (std::vector<std::optional<std::string>>{std::nullopt, "1"}));
  EXPECT_EQ((*cells)[1].carried, (std::vector<std::optional<std::string>>{"a,b", "2"}));
}

TEST_F(RowReaderTest, NamesTheColumnsWhenOneIsWrong) {
  RowOptions options;
  options.text_columns = {"mol"};
  EXPECT_NE(error(write("a.csv", "id,smiles\n1,C\n"), options)
                .find("no column 'mol'; there are id, smiles"),
            std::string::npos);
}

TEST_F(RowReaderTest, ABrokenRecordOfACsvIsARowWithItsLine) {
  RowOptions options;
  options.carry = {"id"};
  const auto problems = [&](const std::string& text) {
    const auto cells = read(write("a.csv", text), options);
    if (!cells) return Texts{"error: " + cells.error().message()};
    Texts all;
    for (const Cell& cell : *cells) {
      all.push_back(cell.problem.empty() ? cell.text.value_or("<null>") : cell.problem);
      EXPECT_EQ(cell.carried.size(), 1u);
      if (cell.problem.empty()) continue;
      EXPECT_EQ(cell.carried[0], std::nullopt);
    }
    return all;
  };
  EXPECT_EQ(problems("id,smiles\n1,C\n2\n3,N,x\n\n4,O\n"),
            (Texts{"C", "line 3: 1 field, where the first line has 2",
                   "line 4: 3 fields, where the first line has 2", "O"}));
  EXPECT_EQ(problems("id,smiles\n1,\"C\"N\n2,O\n"),
            (Texts{"line 2: text behind a closing quote", "O"}));
  // A quote that is not closed swallows nothing: reading goes on behind its line.
  EXPECT_EQ(problems("id,smiles\n1,\"C\n2,N\n3,\"O\"\n4,S\n"),
            (Texts{"line 2: text behind a closing quote", "N", "O", "S"}));
  EXPECT_EQ(problems("id,smiles\n1,\"C\n\n2,N\n3,O\n"),
            (Texts{"line 2: a quote is not closed until the end", "N", "O"}));
  EXPECT_EQ(problems("id,smiles\n1,\"C\n2,\"\"\"N\n3,O"),
            (Texts{"line 2: text behind a closing quote",
                   "line 3: a quote is not closed until the end", "O"}));
  std::string many = "id,smiles\n0,\"C\n";
  Texts expected{"line 2: a quote is not closed within 1 MiB"};
  for (int i = 0; i < 150000; ++i) {
    many += "1,CCCCCCCC\n";
    expected.push_back("CCCCCCCC");
  }
  EXPECT_EQ(problems(many), expected);
  EXPECT_EQ(error(write("b.csv", "\"smiles\n1\n")),
            folder_.path() + "/b.csv: line 1: a quote is not closed until the end");
}

TEST_F(RowReaderTest, ReadsTheDelimiterThatTheFirstLineHas) {
  RowOptions options;
  options.carry_all = true;
  const std::vector<Cell> expected{{"CC", "", {"1,5"}}, {"N", "", {"a;\tb"}}};
  for (const auto& [name, text] : std::vector<std::pair<std::string, std::string>>{
           {"a.csv", "smiles;x\nCC;1,5\nN;\"a;\tb\"\n"},
           {"b.csv", "\xef\xbb\xbf\"smiles\"\t\"x\"\r\nCC\t1,5\r\nN\t\"a;\tb\"\r\n"},
           {"c.tsv", "smiles\tx\nCC\t1,5\nN\t\"a;\tb\"\n"},
           {"d.csv", "smiles,x\rCC,\"1,5\"\rN,a;\tb\r"},
           {"e.csv", "\"smiles\";\"x\"\nCC;1,5\nN;\"a;\tb\"\n"}}) {
    const auto cells = read(write(name, text), options);
    ASSERT_TRUE(cells) << name << cells.error().message();
    EXPECT_EQ(cells->size(), 2u) << name;
    for (size_t i = 0; i < std::min<size_t>(2, cells->size()); ++i)
      EXPECT_TRUE((*cells)[i] == expected[i]) << name << i;
  }
  // The column that is wanted decides, then commas.
  EXPECT_EQ(texts(write("f.csv", "a;b;c,smiles\n1;2;3,CC\n")), Texts{"CC"});
  options.header = false;
  EXPECT_EQ(texts(write("g.csv", "CC;1;2,x\n"), options), Texts{"CC;1;2"});
  EXPECT_EQ(texts(write("h.csv", "CC;1;2\n"), options), Texts{"CC"});
  options.delimiter = ';';
  EXPECT_EQ(texts(write("g.csv", "CC;1;2,x\n"), options), Texts{"CC"});
}

TEST_F(RowReaderTest, FindsTheColumnByItsUsualNames) {
  for (const char* name : {"SMILES", "Canonical_Smiles", "isomeric smiles", " Structure "}) {
    const auto path = write("a.csv", std::string("id,") + name + "\n1,CC\n");
    const auto reader = RowReader::open(path, {}, account());
    ASSERT_TRUE(reader) << reader.error().message();
    EXPECT_EQ((*reader)->guessed_column(), name);
    EXPECT_EQ(texts(path), Texts{"CC"});
  }
  const auto plain = RowReader::open(write("b.csv", "SMILES,smiles\nC,CC\n"), {}, account());
  EXPECT_EQ((*plain)->guessed_column(), "");
  EXPECT_NE(error(write("c.csv", "SMILES,n,structure\nC,1,CC\n"))
                .find("the molecules may be in 'SMILES' (column 1) or 'structure' (column 3): say "
                      "which with --smiles-column"),
            std::string::npos);
}

TEST_F(RowReaderTest, CarriesTheNamesOfASmilesFile) {
  RowOptions options;
  for (const bool all : {false, true}) {
    options.carry_all = all;
    options.carry = all ? Texts() : Texts{"name"};
    const auto cells =
        read(write("a.smi", "CCO\tethanol 96 %\r\nC\n N |$a b$| x y \nO |$a$|\n"), options);
    ASSERT_TRUE(cells) << cells.error().message();
    std::vector<std::optional<std::string>> names;
    for (const Cell& cell : *cells) names.push_back(cell.carried[0]);
    EXPECT_EQ(names, (std::vector<std::optional<std::string>>{"ethanol 96 %", std::nullopt, "x y",
                                                              std::nullopt}));
  }
  options.carry = {"id"};
  EXPECT_NE(error(write("b.smi", "C\n"), options).find("what stands behind the molecule is 'name'"),
            std::string::npos);
}

TEST_F(RowReaderTest, SplitsAnSdfAndItsFields) {
  const auto path = write("a.sdf", "one\n\n\nM  END\n> <id>\n7\n\n$$$$\ntwo\n\n\nM  END\n$$$$\n");
  RowOptions options;
  options.carry = {"id"};
  const auto cells = read(path, options);
  ASSERT_TRUE(cells) << cells.error().message();
  ASSERT_EQ(cells->size(), 2u);
  EXPECT_EQ((*cells)[0].text, "one\n\n\nM  END\n> <id>\n7\n\n");
  EXPECT_EQ((*cells)[0].carried[0], "7");
  EXPECT_EQ((*cells)[1].carried[0], std::nullopt);
}

TEST_F(RowReaderTest, AValueOfAnSdfEndsAtABlankLineOnly) {
  const std::string head = "> <ic50>\n p\n\n\nM  END\n";  // a title that looks like a field
  const auto path =
      write("a.sdf", head + ">  <ic50>  (1)\n>10000\n> <x>\n\n> <x>\n> <ic50>\n\n$$$$\n" + head +
                         "> <x>\n1\n\n$$$$\n\n");
  RowOptions options;
  options.carry = {"ic50", "x", "name"};
  const auto cells = read(path, options);
  ASSERT_TRUE(cells) << cells.error().message();
  ASSERT_EQ(cells->size(), 2u);
  using Carried = std::vector<std::optional<std::string>>;
  EXPECT_EQ((*cells)[0].carried, (Carried{">10000\n> <x>", "> <ic50>", "> <ic50>"}));
  EXPECT_EQ((*cells)[1].carried, (Carried{std::nullopt, "1", "> <ic50>"}));
}

TEST_F(RowReaderTest, AnSdfsLastRecordWithoutItsEndIsARowWithAProblem) {
  const auto cells = read(write("b.sdf", "one\n\n\n\nM  END\n$$$$\ntwo\n\n\n\nM  END\n"));
  ASSERT_TRUE(cells);
  ASSERT_EQ(cells->size(), 2u);
  EXPECT_EQ((*cells)[0].problem, "");
  EXPECT_NE((*cells)[1].problem.find("no $$$$ line"), std::string::npos);
}

TEST_F(RowReaderTest, TellsTheFieldsOfAnSdfThatIsToBeCarriedWhole) {
  RowOptions options;
  options.carry_all = true;
  const auto path = write("a.sdf", "t\n\n\n\nM  END\n> <a>\n1\n\n>  5  <b c> \n2\n\n$$$$\n");
  EXPECT_NE(error(path, options).find("--carry name,a,b c"), std::string::npos);
}

TEST_F(RowReaderTest, ReadsOtherEncodingsByTheirMarkOrByName) {
  const std::string little(
      "\xff\xfes\0m\0i\0l\0e\0s\0,\0n\0\r\0\n\0C\0,\0\xe9\0\n\0N\0,\0\0\xd8\n\0", 38);
  std::string big = little;
  for (size_t i = 0; i + 1 < big.size(); i += 2) std::swap(big[i], big[i + 1]);
  RowOptions options;
  options.carry = {"n"};
  const auto check = [&](const std::string& bytes) {
    const auto cells = read(write("a.csv", bytes), options);
    ASSERT_TRUE(cells) << cells.error().message();
    ASSERT_EQ(cells->size(), 2u);
    EXPECT_EQ((*cells)[0].carried[0], "\xc3\xa9");
    EXPECT_NE((*cells)[1].problem.find("not UTF-8"), std::string::npos);  // half a pair
  };
  check(little);
  check(big);
  options.encoding = TextEncoding::kUtf16;
  check(little.substr(2));
  options.encoding = TextEncoding::kLatin1;
  check(little);
  const auto cells = read(write("b.csv", "smiles,n\nC,\xe9\n"), options);
  ASSERT_TRUE(cells);
  EXPECT_EQ((*cells)[0].carried[0], "\xc3\xa9");
  // Characters straddle buffers of any size.
  std::string text(
      "\xff\xfe"
      "C\0 \0",
      6),
      expected;
  for (int i = 0; i < 30000; ++i) {
    text += std::string("\x3d\xd8\x00\xde", 4);
    expected += "\xf0\x9f\x98\x80";
  }
  options = {};
  options.carry = {"name"};
  const auto path = write("c.smi", text + std::string("\n\0C\0 \0", 6) +
                                       text.substr(6, 16000 * 4 - 2) + std::string("a", 1));
  const auto long_cells = read(path, options);
  ASSERT_TRUE(long_cells) << long_cells.error().message();
  ASSERT_EQ(long_cells->size(), 2u);
  EXPECT_NE((*long_cells)[0].problem.find("64 KiB"), std::string::npos);
  EXPECT_NE((*long_cells)[1].problem.find("not UTF-8"), std::string::npos);
}

TEST_F(RowReaderTest, ACrThatEndsTheBufferIsNoLineEndOfItsOwn) {
  const std::string first = "C " + std::string((64 << 10) - 3, 'x');
  EXPECT_EQ(texts(write("a.smi", first + "\r\nN\r\nO\r\n")), (Texts{"C", "N", "O"}));
  EXPECT_EQ(texts(write("b.smi", "C\rN\rO")), (Texts{"C", "N", "O"}));
}

TEST_F(RowReaderTest, ReadsNamesInUpperCase) {
  EXPECT_EQ(texts(write("A.SMI", "C\n")), Texts{"C"});
  EXPECT_EQ(texts(write("A.Csv", "smiles\nC\n")), Texts{"C"});
  EXPECT_EQ(texts(write_gzip("A.SMI.GZ", "C\n")), Texts{"C"});
  EXPECT_EQ(
      *expand_paths({folder_.path()}, RowReader::suffixes()),
      (Texts{folder_.path() + "/A.Csv", folder_.path() + "/A.SMI", folder_.path() + "/A.SMI.GZ"}));
}

TEST_F(RowReaderTest, MarksATextThatIsTooLong) {
  const auto cells = read(write("a.smi", std::string(RowReader::kMaxText + 1, 'C') + "\nN\n"));
  ASSERT_TRUE(cells);
  ASSERT_EQ(cells->size(), 2u);
  EXPECT_NE((*cells)[0].problem, "");
  EXPECT_EQ((*cells)[1].text, "N");
  EXPECT_EQ((*cells)[1].problem, "");
}

TEST_F(RowReaderTest, CutsALineLongerThanARecordAndGoesOn) {
  const auto cells = read(write("a.smi", std::string(RowReader::kMaxRecord * 2, 'C') + "\nN\n"));
  ASSERT_TRUE(cells);
  ASSERT_EQ(cells->size(), 2u);
  EXPECT_NE((*cells)[0].problem, "");
  EXPECT_EQ((*cells)[1].text, "N");
}

RC_GTEST_FIXTURE_PROP(RowReaderTest, AnyCsvReadsBackAsItWasWritten, ()) {
  // Fields of every awkward kind, long ones among them, so that they straddle the 64 KiB buffers.
  const auto field = rc::gen::map(
      rc::gen::pair(
          rc::gen::container<std::string>(rc::gen::element('a', ',', '"', '\n', ' ', 'C')),
          rc::gen::weightedElement<size_t>({{20, 0}, {1, 9000}})),
      [](const auto& made) { return made.first + std::string(made.second, 'x'); });
  const auto rows = *rc::gen::container<std::vector<std::pair<std::string, std::string>>>(
      rc::gen::pair(field, field));
  const bool crlf = *rc::gen::arbitrary<bool>();
  std::string csv = "smiles,b";
  const auto quote = [](const std::string& text) {
    std::string quoted = "\"";
    for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
    return quoted + "\"";
  };
  for (const auto& [a, b] : rows) csv += (crlf ? "\r\n" : "\n") + quote(a) + "," + quote(b);
  RowOptions options;
  options.carry = {"b"};
  const auto path = *rc::gen::arbitrary<bool>() ? write("a.csv", csv) : write_gzip("a.csv.gz", csv);
  const auto cells = read(path, options);
  RC_ASSERT(cells.has_value());
  RC_ASSERT(cells->size() == rows.size());
  const auto first_token = [](const std::string& text) {
    const size_t begin = std::min(text.find_first_not_of(' '), text.size());
    return text.substr(begin, text.find(' ', begin) - begin);
  };
  const auto or_null = [](const std::string& text) {
    return text.empty() ? std::optional<std::string>() : text;
  };
  for (size_t i = 0; i < rows.size(); ++i) {
    RC_ASSERT((*cells)[i].text == or_null(first_token(rows[i].first)));
    RC_ASSERT((*cells)[i].carried[0] == or_null(rows[i].second));
  }
}

// A file with `rows` rows of smiles (each 7th null), a number and a list.
std::string write_parquet(const std::string& path, int rows, std::shared_ptr<ScratchSpace> space) {
  static const auto budget = Budget::create(256_MiB);
  static int number = 0;
  const Account account =
      *budget->open({"writer " + std::to_string(number++), 0, Bytes(0), std::nullopt});
  ParquetOptions options;
  options.columns = {{"id", ColumnType::kInt32, false},
                     {"smiles", ColumnType::kString, true},
                     {"atoms", ColumnType::kInt32List, false},
                     {"mass", ColumnType::kDouble, true}};
  options.space = std::move(space);
  auto writer = *ParquetWriter::create(path, options, account);
  for (int i = 0; i < rows; ++i) {
    writer->number(static_cast<uint64_t>(int64_t{-i}));
    if (i % 7 == 6)
      writer->null();
    else
      writer->text("C" + std::to_string(i));
    const std::vector<uint32_t> atoms(static_cast<size_t>(i % 4), static_cast<uint32_t>(i));
    writer->list(atoms);
    if (i % 5 == 0)
      writer->null();
    else
      writer->real(i * 0.5);
    EXPECT_TRUE(writer->end_row());
  }
  EXPECT_TRUE(std::move(*writer).close());
  return path;
}

TEST_F(RowReaderTest, ReadsParquetOfSeveralRowGroups) {
  const auto space = ScratchSpace::create({.folder = folder_.path(), .allow_tmpfs = true});
  ASSERT_TRUE(space);
  {
    const int rows = 130'000;  // two row groups
    const auto path = write_parquet(folder_.path() + "/a.parquet", rows, *space);
    RowOptions options;
    options.carry_all = true;
    auto reader = RowReader::open(path, options, account());
    ASSERT_TRUE(reader) << reader.error().message();
    EXPECT_EQ((*reader)->carried()[1].type, ColumnType::kInt32List);
    InputRow row;
    for (int i = 0; i < rows; ++i) {
      ASSERT_TRUE(*(*reader)->next(row));
      EXPECT_EQ(row.text.value_or("null"), i % 7 == 6 ? "null" : "C" + std::to_string(i));
      ValueReader values(row.carried);
      ASSERT_FALSE(values.null());
      EXPECT_EQ(static_cast<int64_t>(values.number()), -i);
      ASSERT_FALSE(values.null());
      EXPECT_EQ(values.text().size(), static_cast<size_t>(i % 4) * 4);
      const bool null = values.null();
      EXPECT_EQ(null, i % 5 == 0);
      EXPECT_EQ(null ? i * 0.5 : values.real(), i * 0.5);
    }
    EXPECT_FALSE(*(*reader)->next(row));
  }
}

TEST_F(RowReaderTest, RefusesParquetThatIsCutShortOrLacksTheColumn) {
  const auto space = ScratchSpace::create({.folder = folder_.path(), .allow_tmpfs = true});
  ASSERT_TRUE(space);
  const auto path = write_parquet(folder_.path() + "/a.parquet", 1000, *space);
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  for (size_t size = 0; size < bytes.size(); size += 97)
    EXPECT_NE(error(write("cut.parquet", bytes.substr(0, size))), "") << size;
  RowOptions options;
  options.text_columns = {"mol"};
  EXPECT_NE(error(path, options).find("there are id, smiles, atoms, mass"), std::string::npos);
  options.text_columns = {"id"};
  EXPECT_NE(error(path, options).find("not text"), std::string::npos);
}

TEST_F(RowReaderTest, NamesAFileThatChangedWhileItWasRead) {
  std::string lines;
  for (int i = 0; i < 20000; ++i) lines += "CCO name\n";  // more than a buffer
  std::vector<std::string> paths{write("changes.smi", lines)};
#ifdef SPILLWAY_HAVE_ARROW
  const auto space = ScratchSpace::create({.folder = folder_.path(), .allow_tmpfs = true});
  paths.push_back(write_parquet(folder_.path() + "/changes.parquet", 3, *space));
#endif
  for (const std::string& path : paths) {
    const auto reader = RowReader::open(path, {}, account());
    ASSERT_TRUE(reader) << reader.error().message();
    InputRow row;
    ASSERT_TRUE(*(*reader)->next(row)) << path;
    std::filesystem::last_write_time(
        path, std::filesystem::last_write_time(path) + std::chrono::seconds(1));
    auto more = (*reader)->next(row);
    while (more && *more) more = (*reader)->next(row);
    ASSERT_FALSE(more) << path;
    EXPECT_EQ(more.error().code(), Code::kConflict);
    EXPECT_NE(more.error().message().find(path + ": was changed while it was read"),
              std::string::npos)
        << more.error().message();
  }
}

TEST_F(RowReaderTest, ExpandsFoldersAndGlobsBytewise) {
  for (const char* name : {"b.smi", "B.smi", "a.csv", ".hidden.smi", "note.txt"})
    write(name, "C\n");
  const std::string root = folder_.path() + "/";
  EXPECT_EQ(*expand_paths({folder_.path()}, RowReader::suffixes()),
            (Texts{root + "B.smi", root + "a.csv", root + "b.smi"}));
  EXPECT_EQ(*expand_paths({root + "b.smi", root + "*.smi"}, RowReader::suffixes()),
            (Texts{root + "b.smi", root + "B.smi", root + "b.smi"}));
  EXPECT_EQ(expand_paths({root + "*.sdf"}, RowReader::suffixes()).error().code(), Code::kNotFound);
  EXPECT_EQ(expand_paths({"s3://bucket/x"}, RowReader::suffixes()).error().code(), Code::kUsage);
}

}  // namespace
}  // namespace spillway::format
