#include "net/http_client.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "core/test_folder.hpp"
#include "net/objects.hpp"
#include "net/scripted_server.hpp"
#include "net/stream.hpp"

namespace spillway::net {
namespace {

using std::chrono::milliseconds;
using Then = Answer::Then;
const std::string kAddress = "http://127.0.0.1/a?sig=secret";

std::span<const uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// An engine of its own: its connections end with the script.
struct Client {
  explicit Client(std::vector<Answer> answers) : server(std::move(answers)) {}
  HttpClient of(HttpOptions options) {
    return HttpClient(std::move(options), Engine::create({.connections = 4}));
  }
  Result<ReplyHead> send(const Request& request, ReplySink* sink = nullptr) {
    return of(server.options()).send(request, sink, {});
  }
  ScriptedServer server;
};

TEST(HttpClient, MapsStatusesToCodes) {
  const std::pair<const char*, Code> kCodes[] = {
      {"401 Unauthorized", Code::kDenied},   {"403 Forbidden", Code::kDenied},
      {"404 Not Found", Code::kNotFound},    {"410 Gone", Code::kNotFound},
      {"409 Conflict", Code::kConflict},     {"412 Precondition Failed", Code::kConflict},
      {"400 Bad Request", Code::kInvalid},   {"411 Length Required", Code::kInvalid},
      {"429 Slow Down", Code::kUnavailable}, {"500 Error", Code::kUnavailable},
      {"501 Not There", Code::kUnavailable}, {"503 Busy", Code::kUnavailable},
      {"301 Moved", Code::kInvalid},         {"416 No Range", Code::kInvalid},
      {"304 Not Modified", Code::kInvalid},
  };
  for (const auto& [status, code] : kCodes) {
    Client client({{reply(status, "why\x1b")}});
    const auto sent = client.send({.address = kAddress});
    ASSERT_FALSE(sent.has_value()) << status;
    EXPECT_EQ(sent.error().code(), code) << status;
    EXPECT_NE(sent.error().message().find(std::string(status).substr(0, 3)), std::string::npos);
    EXPECT_EQ(sent.error().message().find("secret"), std::string::npos);
  }
}

TEST(HttpClient, TriesAgainWithGrowingWaitsThatAreNotAllTheSame) {
  Client client({{reply("503 Busy")},
                 {reply("500 Error"), Then::kClose},
                 {"", Then::kClose},
                 {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut", Then::kClose},
                 {reply("200 OK", "whole")}});
  std::vector<uint8_t> room(16);
  SpanSink sink(room);
  const auto sent = client.send({.address = kAddress}, &sink);
  ASSERT_TRUE(sent.has_value()) << sent.error().message();
  EXPECT_EQ(std::string(room.begin(), room.begin() + 5), "whole");
  EXPECT_EQ(sink.used(), 5u);
  const auto waits = client.server.waits();
  ASSERT_EQ(waits.size(), 4u);
  for (size_t i = 0; i < waits.size(); ++i) {
    EXPECT_GE(waits[i], milliseconds(50 << i));
    EXPECT_LE(waits[i], milliseconds(100 << i));
  }
}

TEST(HttpClient, GivesUpAfterItsTriesAndSaysHowMany) {
  Client client({{reply("502 Bad Gateway")}});
  const auto sent = client.send({.address = kAddress});
  ASSERT_FALSE(sent.has_value());
  EXPECT_EQ(sent.error().message(),
            "http://127.0.0.1/a?...: the server answers 502, 6 times: try again later");
  EXPECT_EQ(client.server.requests().size(), 6u);
}

TEST(HttpClient, WaitsAsLongAsTheServerAsks) {
  Client client({{reply("503 Busy", "", "Retry-After: 7\r\n")}, {reply("200 OK")}});
  ASSERT_TRUE(client.send({.address = kAddress}).has_value());
  ASSERT_EQ(client.server.waits().size(), 1u);
  EXPECT_GE(client.server.waits()[0], milliseconds(7000));
  EXPECT_LE(client.server.waits()[0], milliseconds(7025));

  Client late({{reply("429 Slow Down", "", "Retry-After: 3600\r\n")}, {reply("200 OK")}});
  const auto sent = late.send({.address = kAddress});
  ASSERT_FALSE(sent.has_value());
  EXPECT_NE(sent.error().message().find("it asks for 3600 s"), std::string::npos);
  EXPECT_TRUE(late.server.waits().empty());
}

TEST(HttpClient, RepeatsAPostOnlyWhereItWasNotCarriedOut) {
  const std::string text = "body";
  SpanBody body(bytes_of(text));
  const Request post{.method = Method::kPost, .address = kAddress, .body = &body};
  for (const Answer& bad : {Answer{"", Then::kClose}, Answer{reply("500 Error")}}) {
    Client client({bad, {reply("200 OK")}});
    const auto sent = client.send(post);
    ASSERT_FALSE(sent.has_value());
    EXPECT_EQ(sent.error().code(), Code::kUnavailable);
    EXPECT_EQ(client.server.requests().size(), 1u);
  }
  Client client({{reply("503 Busy")}, {reply("200 OK")}});
  EXPECT_TRUE(client.send(post).has_value());
  EXPECT_EQ(client.server.requests().size(), 2u);
}

TEST(HttpClient, TriesAHandshakeThatIsCutAgain) {
  ScriptedServer server({{""}}, ScriptedServer::Greeting::kClose);
  const HttpClient client(server.options(), Engine::create({}));
  const auto sent = client.send({.address = "https://127.0.0.1/a"}, nullptr, {});
  ASSERT_FALSE(sent.has_value());
  EXPECT_EQ(sent.error().code(), Code::kUnavailable) << sent.error().message();
  EXPECT_GE(server.waits().size(), 2u) << sent.error().message();
}

TEST(HttpClient, EndsASilentReply) {
  Client client({{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", Then::kSilence}});
  HttpOptions options = client.server.options();
  options.stall_timeout = milliseconds(40);
  options.tries = 2;
  const auto sent = client.of(options).send({.address = kAddress}, nullptr, {});
  ASSERT_FALSE(sent.has_value());
  EXPECT_EQ(sent.error().code(), Code::kUnavailable);
  EXPECT_NE(sent.error().message().find("no byte for 0.04 s, 2 times"), std::string::npos)
      << sent.error().message();
}

TEST(HttpClient, AStopEndsAWaitForAReplyAndBetweenTries) {
  std::stop_source stop;
  Client client({{"", Then::kSilence}});
  std::jthread later([&] {
    while (client.server.requests().empty()) std::this_thread::yield();
    stop.request_stop();
  });
  const auto sent =
      client.of(client.server.options()).send({.address = kAddress}, nullptr, stop.get_token());
  ASSERT_FALSE(sent.has_value());
  EXPECT_EQ(sent.error().code(), Code::kCancelled);

  Client busy({{reply("503 Busy")}});
  HttpOptions options = busy.server.options();
  options.wait = {};
  options.first_wait = std::chrono::hours(1);
  options.longest_wait = std::chrono::hours(1);
  std::stop_source other;
  std::jthread ends([&] {
    while (busy.server.requests().empty()) std::this_thread::yield();
    other.request_stop();
  });
  const auto waited = busy.of(options).send({.address = kAddress}, nullptr, other.get_token());
  ASSERT_FALSE(waited.has_value());
  EXPECT_EQ(waited.error().code(), Code::kCancelled);
}

// Cut at each byte, a reply is an error: with a length, in chunks, and without an end.
TEST(HttpClient, NeverTakesACutReplyForAWholeOne) {
  const std::string whole[] = {
      reply("200 OK", "hello"),
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"};
  for (const std::string& text : whole) {
    for (size_t cut = 0; cut < text.size(); ++cut) {
      Client client({{text.substr(0, cut), Then::kClose}});
      HttpOptions options = client.server.options();
      options.tries = 1;
      std::vector<uint8_t> room(16);
      SpanSink sink(room);
      // A cut within the empty line behind the last chunk, of 0 bytes, loses nothing.
      if (client.of(options).send({.address = kAddress}, &sink, {}).has_value()) {
        EXPECT_NE(text.substr(0, cut).find("\r\n0\r\n"), std::string::npos) << cut;
        EXPECT_EQ(sink.used(), 5u);
      }
    }
    Client client({{text, Then::kClose}});
    std::vector<uint8_t> room(16);
    SpanSink sink(room);
    EXPECT_TRUE(client.send({.address = kAddress}, &sink).has_value());
    EXPECT_EQ(sink.used(), 5u);
  }
  Client endless({{"HTTP/1.1 200 OK\r\n\r\nhello", Then::kClose}});
  const auto sent = endless.send({.address = kAddress});
  ASSERT_FALSE(sent.has_value());
  EXPECT_NE(sent.error().message().find("neither a length nor chunks"), std::string::npos);
}

TEST(HttpClient, SendsABodyWholeAgainFromMemoryAndFromAFile) {
  TestFolder folder;
  const std::string path = folder.path() + "/body";
  std::string text(3 << 20, 'x');  // large enough for "Expect: 100-continue"
  for (size_t i = 0; i < text.size(); i += 997) text[i] = static_cast<char>('a' + i % 26);
  const File content = *File::open(path, File::Mode::kKeep);
  ASSERT_TRUE(content.write_at(0, bytes_of(text)));
  SpanBody memory(bytes_of(text));
  FileBody file(content, 5, text.size() - 5);
  for (RequestBody* const body :
       {static_cast<RequestBody*>(&memory), static_cast<RequestBody*>(&file)}) {
    Client client({{reply("503 Busy")}, {reply("200 OK", "", "ETag: \"e\"\r\n")}});
    Request put{.method = Method::kPut, .address = kAddress, .body = body};
    put.headers.push_back({"If-None-Match", "*"});
    const auto sent = client.send(put);
    ASSERT_TRUE(sent.has_value()) << sent.error().message();
    EXPECT_EQ(sent->etag(), "\"e\"");
    const auto requests = client.server.requests();
    ASSERT_EQ(requests.size(), 2u);
    EXPECT_TRUE(requests[1].starts_with("PUT /a?sig=secret HTTP/1.1\r\n"));
    EXPECT_NE(requests[1].find("If-None-Match: *\r\n"), std::string::npos);
    EXPECT_EQ(requests[1].substr(requests[1].find("\r\n\r\n") + 4),
              body == &memory ? text : text.substr(5));
  }
  FileBody too_long(content, 0, text.size() + 1);  // it has become shorter
  Client client({{reply("200 OK")}});
  const auto sent = client.send({.method = Method::kPut, .address = kAddress, .body = &too_long});
  ASSERT_FALSE(sent.has_value());
  EXPECT_NE(sent.error().message().find(path), std::string::npos) << sent.error().message();
}

TEST(HttpClient, ReadsAReplyIntoAFile) {
  TestFolder folder;
  const std::string path = folder.path() + "/reply";
  const File content = *File::open(path, File::Mode::kKeep);
  const std::string text(1 << 20, 'y');
  Client client({{reply("200 OK", text)}});
  FileSink sink(content, 3, text.size());
  ASSERT_TRUE(client.send({.address = kAddress}, &sink).has_value());
  EXPECT_EQ(sink.used(), text.size());
  EXPECT_EQ(content.info()->size, text.size() + 3);
  FileSink small(content, 0, 10);
  Client again({{reply("200 OK", text)}});
  const auto sent = again.send({.address = kAddress}, &small);
  ASSERT_FALSE(sent.has_value());
  EXPECT_EQ(sent.error().code(), Code::kTooLarge);
}

TEST(HttpClient, KnowsTheOtherMethods) {
  Client client({{"HTTP/1.1 200 OK\r\nContent-Length: 999\r\nETag: W/\"x\"\r\n\r\n"},
                 {"HTTP/1.1 204 No Content\r\n\r\n"},
                 {reply("200 OK", "<done/>")}});
  const HttpClient http = client.of(client.server.options());
  const auto head = http.send({.method = Method::kHead, .address = kAddress}, nullptr, {});
  ASSERT_TRUE(head.has_value()) << head.error().message();
  EXPECT_EQ(head->length, 999u);
  EXPECT_EQ(head->etag(), "W/\"x\"");
  EXPECT_TRUE(http.send({.method = Method::kDelete, .address = kAddress}, nullptr, {}).has_value());
  EXPECT_TRUE(http.send({.method = Method::kPost, .address = kAddress}, nullptr, {}).has_value());
  const auto requests = client.server.requests();
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_TRUE(requests[0].starts_with("HEAD "));
  EXPECT_TRUE(requests[1].starts_with("DELETE "));
  EXPECT_TRUE(requests[2].starts_with("POST "));
  EXPECT_NE(requests[2].find("Content-Length: 0\r\n"), std::string::npos);
  EXPECT_EQ(client.server.most_connections(), 1u);  // one, kept
}

TEST(HttpClient, TellsOfA304OnlyWhoAskedForIt) {
  Client client({{"HTTP/1.1 304 Not Modified\r\n\r\n"}});
  Request request{.address = kAddress};
  request.headers.push_back({"If-None-Match", "\"e\""});
  const auto sent = client.send(request);
  ASSERT_TRUE(sent.has_value()) << sent.error().message();
  EXPECT_EQ(sent->status, 304u);
}

TEST(HttpClient, RefusesAHeadWithoutEnd) {
  std::string headers;
  for (int i = 0; i < 3000; ++i) headers += "X-Filler-" + std::to_string(i) + ": 0123456789\r\n";
  Client client({{reply("200 OK", "hello", headers)}});
  const auto sent = client.send({.address = kAddress});
  ASSERT_FALSE(sent.has_value());
  EXPECT_EQ(sent.error().code(), Code::kIo);
}

TEST(HttpClient, ShowsWhatAServerSaysWithoutControls) {
  Client client({{reply("302 Found", "", "Location: http://b/\x1b[31m?token=secret\r\n")}});
  const auto sent = client.send({.address = kAddress});
  ASSERT_FALSE(sent.has_value());
  EXPECT_NE(sent.error().message().find("it moved to http://b/\\x1b[31m?...;"), std::string::npos)
      << sent.error().message();
}

TEST(Engine, HoldsNoMoreConnectionsThanItMay) {
  ScriptedServer server({{reply("200 OK", "x")}});
  const HttpClient client(server.options(), Engine::create({.connections = 2}));
  std::vector<std::jthread> threads;
  std::atomic<int> good{0};
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 20; ++n)
        good += client.send({.address = kAddress}, nullptr, {}).has_value() ? 1 : 0;
    });
  }
  threads.clear();
  EXPECT_EQ(good, 160);
  EXPECT_LE(server.most_connections(), 2u);
}

// ---- objects

std::string part(size_t first, size_t last, const std::string& size, const std::string& body,
                 const std::string& more = "") {
  return reply("206 Partial Content", body,
               more + "Content-Range: bytes " + std::to_string(first) + "-" + std::to_string(last) +
                   "/" + size + "\r\n");
}

TEST(Objects, AShortRangeIsTheEndOnlyWhereTheSizeSaysSo) {
  const auto get = [](std::string answer, uint64_t offset = 4) {
    Client client({{std::move(answer)}});
    std::vector<uint8_t> room(4);
    return Objects(client.of(client.server.options())).get_range(kAddress, offset, room, {});
  };
  EXPECT_EQ((*get(part(4, 7, "10", "abcd")))->bytes, 4u);
  EXPECT_EQ((*get(part(4, 7, "*", "abcd")))->bytes, 4u);
  const auto end = get(part(4, 5, "6", "ab", "ETag: \"e\"\r\n"));
  ASSERT_TRUE(end.has_value()) << end.error().message();
  EXPECT_EQ((*end)->bytes, 2u);
  EXPECT_EQ((*end)->size, 6u);
  EXPECT_EQ((*end)->etag, "\"e\"");
  EXPECT_EQ((*get(reply("416 No Range")))->bytes, 0u);
  EXPECT_FALSE(get(reply("404 Not Found"))->has_value());
  EXPECT_EQ((*get(reply("200 OK", "abc"), 0))->bytes, 3u);  // no ranges, but it is all
  for (const std::string& bad :
       {part(4, 5, "10", "ab"), part(4, 5, "*", "ab"), part(0, 3, "10", "abcd"),
        part(4, 6, "10", "abcd"), reply("206 Partial Content", "abcd"), reply("200 OK", "abcd"),
        part(4, 9, "10", "abcdef")}) {
    const auto got = get(bad);
    EXPECT_FALSE(got.has_value()) << bad;
  }
  EXPECT_FALSE(get(reply("200 OK", "abcdef"), 0).has_value());  // no ranges, and longer
}

TEST(Objects, AnObjectThatWasReplacedIsAConflict) {
  const auto get = [](std::string answer, const char* etag, std::string* sent) {
    Client client({{std::move(answer)}});
    std::vector<uint8_t> room(4);
    auto got = Objects(client.of(client.server.options())).get_range(kAddress, 0, room, {}, etag);
    *sent = client.server.requests()[0];
    return got;
  };
  std::string sent;
  const std::string same = part(0, 3, "4", "abcd", "ETag: \"e\"\r\n");
  EXPECT_TRUE(get(same, "\"e\"", &sent).has_value());
  EXPECT_NE(sent.find("If-Match: \"e\"\r\n"), std::string::npos);
  for (const auto& [answer, etag] : {std::pair(reply("412 Precondition Failed"), "\"e\""),
                                     std::pair(same, "\"f\""), std::pair(same, "W/\"f\"")}) {
    const auto got = get(answer, etag, &sent);
    ASSERT_FALSE(got.has_value());
    EXPECT_EQ(got.error().code(), Code::kConflict);
    EXPECT_NE(got.error().message().find("was changed while it was read"), std::string::npos);
  }
  EXPECT_EQ(sent.find("If-Match"), std::string::npos);  // a weak one cannot be asked for
}

// ---- streams

TEST(HttpStream, HoldsTheConnectionBackWhileNobodyReads) {
  std::string text(5 << 20, ' ');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 31 + i / 4093);
  Client client({{reply("503 Busy")}, {reply("200 OK", text)}});
  auto stream = HttpStream::open(kAddress, {}, client.of(client.server.options()));
  ASSERT_TRUE(stream.has_value()) << stream.error().message();
  EXPECT_EQ((*stream)->length(), text.size());
  std::string got;
  std::vector<uint8_t> room(100'003);
  while (true) {
    const auto read = (*stream)->read(room, {});
    ASSERT_TRUE(read.has_value()) << read.error().message();
    got.append(room.begin(), room.begin() + static_cast<ptrdiff_t>(*read));
    if (*read < room.size()) break;
  }
  EXPECT_TRUE(got == text);
}

TEST(HttpStream, ACutIsAnErrorWithTheBytesUntilThen) {
  Client client({{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", Then::kClose}});
  auto stream = HttpStream::open(kAddress, {}, client.of(client.server.options()));
  ASSERT_TRUE(stream.has_value());
  std::vector<uint8_t> room(9);
  const auto read = (*stream)->read(room, {});
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().code(), Code::kUnavailable);
  EXPECT_NE(read.error().message().find("cut after 5 bytes"), std::string::npos);
}

TEST(HttpStream, MayBeLeftInTheMiddleAndStopped) {
  const std::string text(2 << 20, 'x');
  Client client(
      {{reply("200 OK", text)}, {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", Then::kSilence}});
  const HttpClient http = client.of(client.server.options());
  { ASSERT_TRUE(HttpStream::open(kAddress, {}, http).has_value()); }
  auto stream = HttpStream::open(kAddress, {}, http);
  ASSERT_TRUE(stream.has_value());
  std::stop_source stop;
  stop.request_stop();
  std::vector<uint8_t> room(9);
  const auto read = (*stream)->read(room, stop.get_token());
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().code(), Code::kCancelled);
}

}  // namespace
}  // namespace spillway::net
