#include "expand/problems/petri.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "expand/engine/search_oracle.hpp"

namespace spillway::expand {
namespace {

std::string net_of(const std::string& body) {
  return "<pnml><net id='n' type='http://www.pnml.org/version-2009/grammar/ptnet'><page id='g'>" +
         body + "</page></net></pnml>";
}

class NetFile {
 public:
  explicit NetFile(const std::string& text) {
    char name[] = "/tmp/spillway-net-XXXXXX";
    const int fd = ::mkstemp(name);
    if (fd >= 0) ::close(fd);
    path_ = name;
    std::ofstream(path_) << text;
  }
  ~NetFile() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// p gains three tokens a firing until q's 100 are used up: p ends at 300, beyond any first guess.
const char* const kPump =
    "<place id='p'/><place "
    "id='q'><initialMarking><text>100</text></initialMarking></place><transition id='t'/>"
    "<arc id='1' source='q' target='t'/><arc id='2' source='t' "
    "target='p'><inscription><text>3</text></inscription></arc>";

TEST(Petri, WidensUntilCountsFit) {
  const NetFile file(net_of(kPump));
  auto problem = make_petri({file.path()});
  ASSERT_TRUE(problem) << problem.error().message();
  unsigned widened = 0;
  while (true) {
    const auto found = search_plainly(**problem);
    if (found) {
      EXPECT_EQ(found->order.size(), 101u);
      break;
    }
    ASSERT_EQ(found.error().code(), Code::kOverflow);
    ASSERT_TRUE((*problem)->widen());
    ++widened;
  }
  EXPECT_EQ(widened, 2u) << "100 fits 7 bits, 300 wants 9";
}

TEST(Petri, TellsTheSameIdsInEveryPacking) {
  const NetFile file(
      net_of("<place id='a'><initialMarking><text>3</text></initialMarking></place><place id='b'/>"
             "<transition id='t'/><transition id='u'/><arc id='1' source='a' target='t'/>"
             "<arc id='2' source='t' target='b'/><arc id='3' source='b' target='u'/>"
             "<arc id='4' source='u' target='a'/>"));
  auto problem = make_petri({file.path()});
  ASSERT_TRUE(problem);
  const auto first = search_plainly(**problem);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->order.size(), 4u);
  unsigned forms = 1;
  for (; (*problem)->widen(); ++forms) {
    const auto wider = search_plainly(**problem);
    ASSERT_TRUE(wider);
    EXPECT_EQ(wider->order.size(), first->order.size());
    EXPECT_EQ(wider->ids_xor, first->ids_xor);
    EXPECT_EQ(wider->ids_sum, first->ids_sum);
  }
  EXPECT_GT(forms, 10u);
  EXPECT_EQ((*problem)->traits().form, StateForm::kBytes);
}

TEST(Petri, FollowsReferencesAcrossPages) {
  const NetFile file(
      net_of("<place id='a'><initialMarking><text>1</text></initialMarking></place>"
             "<page id='h'><referencePlace id='r' ref='a'/><place id='b'/><transition id='t'/>"
             "<arc id='1' source='r' target='t'/><arc id='2' source='t' target='b'/></page>"));
  auto problem = make_petri({file.path()});
  ASSERT_TRUE(problem) << problem.error().message();
  EXPECT_EQ(search_plainly(**problem)->order.size(), 2u);
}

TEST(Petri, SaysWhatIsWrongAndWhere) {
  const std::pair<std::string, std::string> cases[] = {
      {net_of("\n<place id='a'/>\n<place id='a'/>"), "line 3: the id 'a' is used twice"},
      {net_of("<place id='a'/><place id='b'/><arc id='1' source='a' target='b'/>"),
       "does not join a place and a transition"},
      {net_of("<referencePlace id='a' ref='b'/><referencePlace id='b' ref='a'/><transition id='t'/>"
              "<arc id='1' source='a' target='t'/>"),
       "go in a circle"},
      {net_of("<place id='a'><initialMarking><text>4294967296</text></initialMarking></place>"),
       "not a number from 0"},
      {net_of(""), "has no places"},
      {"<pnml><net id='n' type='x/pt-hlpng'/></pnml>", "type 'pt-hlpng'"},
      {"<pnml", "not well-formed"},
  };
  for (const auto& [text, message] : cases) {
    const NetFile file(text);
    const auto problem = make_petri({file.path()});
    ASSERT_FALSE(problem) << text;
    EXPECT_EQ(problem.error().code(), Code::kInvalid);
    EXPECT_NE(problem.error().message().find(message), std::string::npos)
        << problem.error().message();
  }
}

}  // namespace
}  // namespace spillway::expand
