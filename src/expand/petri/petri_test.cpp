#include "expand/petri/petri.hpp"

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
      {net_of("\n<place id='a'/>\n<place id='a'/>"), "line 3, byte 102: the id 'a' is used twice"},
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
      {"<pnml><net id='n' type='ptnet'><place id='a'/></net><net id='m' type='ptnet'/></pnml>",
       "second net, 'm', beside 'n'"},
      {net_of("<place id='a'><hlinitialMarking/></place>"),
       "the element 'hlinitialMarking' of the place 'a'"},
      {net_of("<place id='a' color='2'/>"), "the attribute 'color' of the place 'a'"},
      {net_of("<place id='a'/><instance/>"), "the element 'instance' of the page 'g'"},
      {net_of("<place id='a'/><transition id='t'><delay/></transition>"),
       "the element 'delay' of the transition 't'"},
      {net_of("<place id='a'/><transition id='t'><priority><text>1</text></priority></transition>"
              "<transition id='u'><priority><text>2</text></priority></transition>"),
       "the transition 'u' has the priority '2' and another transition '1'"},
      {net_of("<place id='a'/><transition id='t'><timed><value>true</value></timed></transition>"
              "<transition id='u'><timed><value>false</value></timed></transition>"),
       "'u' has the value of timed 'false'"},
      {net_of("<place id='a'><initialMarking><value>Red,1</value></initialMarking></place>"
              "<place id='b'><initialMarking><value>Blue,1</value></initialMarking></place>"),
       "tokens of several kinds"},
      {net_of("<place id='a'><initialMarking><value>Red,1,Blue,1</value></initialMarking></place>"),
       "tokens of several kinds"},
      {net_of("<place id='a'><initialMarking><text>3</text></initialMarking><capacity><text>2"
              "</text></capacity></place>"),
       "begins with 3 tokens, above its capacity 2"},
      {net_of("<place id='a'/><transition id='t'/><arc id='x' source='a' target='t' "
              "type='transport'/>"),
       "the arc 'x' is of the kind 'transport'"},
      {net_of("<place id='a'/><transition id='t'/><arc id='x' source='t' target='a' "
              "type='inhibitor'/>"),
       "goes from a place to a transition only"},
      {net_of("<place id='a'/><transition id='t'/><arc id='x' source='a' target='t' type='normal'>"
              "<type value='inhibitor'/></arc>"),
       "the arc 'x' is of two kinds"},
      {net_of(
           "<place id='a'><initialMarking><text>1</text><text>2</text></initialMarking></place>"),
       "the place 'a' has an element with two values"},
      {net_of("<place id='a'><initialMarking>1<text>2</text></initialMarking></place>"),
       "two values"},
      {net_of("<place id='a'><initialMarking><text>2</text>1</initialMarking></place>"),
       "two values"},
      {"<!DOCTYPE pnml [<!ENTITY n SYSTEM 'other'>]>" +
           net_of("<place id='a'><initialMarking><text>1&n;</text></initialMarking></place>"),
       "the entity 'n' is not declared here, or stands for another file"},
      {"<!DOCTYPE pnml SYSTEM 'pnml.dtd'>" +
           net_of("<place id='a'><initialMarking><text>1&zero;</text></initialMarking></place>"),
       "the entity 'zero'"},
      {net_of("<place id='a'/><transition id='t'/><flowArc id='x' source='t' target='a'/>"),
       "the element 'flowArc'"},
      {net_of("<place id='a'><initialMarking><text>" + std::string(300, '0') +
              "1</text></initialMarking></place>"),
       "not a number from 0"},
      {net_of("<!--" + std::string(5 << 20, 'x') + "--><place id='a'/>"),
       "a tag, comment or entity of more than 4 MiB"},
  };
  for (const auto& [text, message] : cases) {
    const NetFile file(text);
    const auto problem = make_petri({file.path()});
    ASSERT_FALSE(problem) << text;
    EXPECT_EQ(problem.error().code(), Code::kInvalid);
    EXPECT_NE(problem.error().message().find(message), std::string::npos)
        << problem.error().message() << " of " << text.substr(0, 400);
  }
}

std::string with_tokens(const char* id, int tokens) {
  return "<place id='" + std::string(id) + "'><initialMarking><text>" + std::to_string(tokens) +
         "</text></initialMarking></place>";
}
std::string arc(const char* from, const char* to, const std::string& more = "") {
  return "<arc id='" + std::string(from) + to + "' source='" + from + "' target='" + to + "'>" +
         more + "</arc>";
}

// States and firings by the plain search, the same in every packing.
std::pair<uint64_t, uint64_t> searched(const std::string& body) {
  const NetFile file(net_of(body));
  auto problem = make_petri({file.path()});
  EXPECT_TRUE(problem) << problem.error().message();
  if (!problem) return {};
  auto found = search_plainly(**problem);
  while (!found && (*problem)->widen()) found = search_plainly(**problem);
  EXPECT_TRUE(found);
  if (!found) return {};
  for (unsigned form = 0; form < 40 && (*problem)->widen(); ++form) {
    const auto wider = search_plainly(**problem);
    EXPECT_TRUE(wider);
    EXPECT_EQ(wider->ids_xor, found->ids_xor);
    EXPECT_EQ(wider->generated, found->generated);
  }
  return {found->states, found->generated};
}
using Counts = std::pair<uint64_t, uint64_t>;

TEST(Petri, AnInhibitorArcStopsAtItsWeight) {
  // 3,0 -> 2,1 -> 1,2 and no further, while b holds fewer than 2.
  const std::string net =
      with_tokens("a", 3) + "<place id='b'/><transition id='t'/>" + arc("a", "t") + arc("t", "b");
  EXPECT_EQ(searched(net), Counts(4, 3)) << "the control: without it";
  const std::string weight = "<inscription><text>2</text></inscription>";
  const std::string ways[] = {
      "<arc id='i' source='b' target='t' type='inhibitor'>" + weight + "</arc>",
      "<arc id='i' source='b' target='t'>" + weight + "<type value='inhibitor'/></arc>",
      "<arc id='i' source='b' target='t'><arctype><text>inhibitor</text></arctype>" + weight +
          "</arc>",
      "<arc id='i' source='b' target='t'><type>Inhibitor</type>" + weight + "</arc>",
      "<arc id='i' source='b' target='t'><toolspecific tool='x' version='1'><a><type "
      "value='inhibitor'/></a></toolspecific>" +
          weight + "</arc>",
      "<inhibitorArc id='i' source='b' target='t'>" + weight + "</inhibitorArc>",
  };
  for (const std::string& way : ways) EXPECT_EQ(searched(net + way), Counts(3, 2)) << way;
}

TEST(Petri, ATestArcTakesNothing) {
  // t takes of a while k holds one, u takes k: all six of a 0..2 and k 0..1.
  const std::string net = with_tokens("a", 2) + with_tokens("k", 1) +
                          "<transition id='t'/><transition id='u'/>" + arc("a", "t") +
                          arc("k", "u");
  for (const char* const kind : {"test", "read"}) {
    EXPECT_EQ(searched(net + "<arc id='r' source='k' target='t' type='" + kind + "'/>"),
              Counts(6, 5));
  }
  EXPECT_EQ(searched(net + arc("k", "t")), Counts(3, 2)) << "a normal arc takes it";
}

TEST(Petri, AResetArcEmptiesItsPlace) {
  // t moves of p to b, r empties b and is always enabled: p + b <= 2.
  const std::string net = with_tokens("p", 2) +
                          "<place id='b'/><transition id='t'/><transition id='r'/>" +
                          arc("p", "t") + arc("t", "b");
  EXPECT_EQ(searched(net + "<resetArc id='r1' source='b' target='r'/>"), Counts(6, 9));
  // It empties before it gives: b is 1 after r, whatever it held; with an input arc from b it must
  // have held one: 2,0 1,1 0,2 0,1.
  EXPECT_EQ(searched(net + arc("b", "r") + arc("r", "b") +
                     "<arc id='r1' source='b' target='r' type='reset'/>"),
            Counts(4, 5));
}

TEST(Petri, ACapacityBoundsWhatAFiringLeaves) {
  const std::string net =
      "<place id='p'><capacity><text>5</text></capacity></place><transition id='t'/>" +
      arc("t", "p", "<inscription><text>2</text></inscription>");
  EXPECT_EQ(searched(net), Counts(3, 2));  // 0, 2, 4
  // What a firing takes makes room: 0, 3 and then 3 - 1 + 3 = 5, and nothing fits any more.
  const std::string loop =
      "<place id='p'><capacity><value>5</value></capacity></place><transition id='t'/>"
      "<transition id='s'/>" +
      arc("s", "p", "<inscription><text>3</text></inscription>") + arc("p", "t") +
      arc("t", "p", "<inscription><text>3</text></inscription>");
  EXPECT_EQ(searched(loop), Counts(3, 2));
  EXPECT_EQ(searched("<place id='p'><capacity><value>0</value></capacity></place>" +
                     with_tokens("q", 4) + "<transition id='t'/>" + arc("t", "p") + arc("q", "t")),
            Counts(5, 4))
      << "0 is no limit";
}

TEST(Petri, ReadsWhatPipeWrites) {
  const NetFile file(
      "\xEF\xBB\xBF<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\r\n"
      "<pnml><net id=\"Net-One\" type=\"P/T net\">\r\n<token id=\"Default\" enabled=\"true\"/>"
      "<labels x=\"1\"/><place id=\"P0\"><graphics/><name><value>P0</value></name>"
      "<initialMarking><value>Default,2</value><graphics/></initialMarking><capacity><value>0"
      "</value></capacity></place><place id=\"P1\"/><transition id=\"T0\"><orientation><value>0"
      "</value></orientation><rate><value>1.0</value></rate><timed><value>false</value></timed>"
      "<infiniteServer><value>false</value></infiniteServer><priority><value>1</value></priority>"
      "</transition><arc id=\"a\" source=\"P0\" target=\"T0\"><inscription><value>Default,1</value>"
      "</inscription><tagged><value>false</value></tagged><arcpath id=\"000\"/><type "
      "value=\"normal\"/></arc><arc id=\"b\" source=\"P1\" target=\"T0\"><type "
      "value=\"inhibitor\"/></arc><arc id=\"c\" source=\"T0\" target=\"P1\"/></net></pnml>");
  const auto problem = make_petri({file.path()});
  ASSERT_TRUE(problem) << problem.error().message();
  EXPECT_EQ(search_plainly(**problem)->states, 2u);
}

TEST(Petri, KeepsToTheMemoryItIsGiven) {
  std::string places;
  for (int i = 0; i < 20000; ++i)
    places += "<place id='a-place-with-a-name-" + std::to_string(i) + "'/>";
  const NetFile file(net_of(places));
  const auto problem = make_petri({file.path()}, {8_MiB, {}});
  ASSERT_FALSE(problem);
  EXPECT_EQ(problem.error().code(), Code::kMemoryLimit);
  EXPECT_TRUE(make_petri({file.path()}, {64_MiB, {}}));
}

TEST(Petri, FollowsLongReferencesOnce) {
  std::string net = with_tokens("p0", 1) + "<transition id='t'/>";
  for (int i = 1; i < 20000; ++i) {
    net += "<referencePlace id='p" + std::to_string(i) + "' ref='p" + std::to_string(i - 1) + "'/>";
  }
  for (int i = 19999; i > 10000; --i) net += arc(("p" + std::to_string(i)).c_str(), "t");
  const NetFile file(net_of(net));
  const auto problem = make_petri({file.path()});
  ASSERT_TRUE(problem) << problem.error().message();
  EXPECT_EQ(search_plainly(**problem)->states, 1u);
}

}  // namespace
}  // namespace spillway::expand
