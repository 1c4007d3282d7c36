// SPDX-License-Identifier: Apache-2.0
#include "tests/support/session.h"

#include <algorithm>
#include <map>

namespace remora {
namespace {

// Random choices, in the order in which they are drawn.
class Dice {
 public:
  explicit Dice(std::mt19937& random) : random_(random) {}

  std::size_t from(std::size_t least, std::size_t most) {
    return std::uniform_int_distribution<std::size_t>(least, std::max(least, most))(random_);
  }
  bool happens(double probability) { return std::bernoulli_distribution(probability)(random_); }
  std::uint16_t packet_id() { return static_cast<std::uint16_t>(from(1, 65'535)); }
  Bytes bytes(std::size_t count) {
    Bytes out(count);
    std::uint32_t word = 0;
    for (std::size_t i = 0; i < count; i++, word >>= 8) {
      if (i % 4 == 0) word = static_cast<std::uint32_t>(random_());
      out[i] = static_cast<std::uint8_t>(word);
    }
    return out;
  }
  std::string text(std::size_t most) {
    std::string out(from(0, most), ' ');
    for (char& c : out) c = static_cast<char>(from(' ', '~'));
    return out;
  }
  template <class List>
  const auto& one_of(const List& list) {
    return *std::next(std::begin(list), static_cast<std::ptrdiff_t>(from(0, std::size(list) - 1)));
  }
  std::mt19937& random() { return random_; }

 private:
  std::mt19937& random_;
};

std::string utf8(std::uint32_t character) {
  const auto low = [&](int shift) { return static_cast<char>(0x80 | (character >> shift & 0x3f)); };
  if (character < 0x80) return {static_cast<char>(character)};
  if (character < 0x800) return {static_cast<char>(0xc0 | character >> 6), low(0)};
  if (character < 0x10000) return {static_cast<char>(0xe0 | character >> 12), low(6), low(0)};
  return {static_cast<char>(0xf0 | character >> 18), low(12), low(6), low(0)};
}

// Any character that a topic name may contain, including those at the edges of UTF-8's lengths.
std::string random_character(Dice& dice) {
  constexpr std::uint32_t kEdges[] = {0x01,   0x1f,   0x20,   0x7f,   0x80,    0x7ff,   0x800,
                                      0xd7ff, 0xe000, 0xfeff, 0xffff, 0x10000, 0x10ffff};
  std::uint32_t character = dice.one_of(kEdges);
  switch (dice.from(0, 3)) {
    case 0:
      character = static_cast<std::uint32_t>(dice.from(0x80, 0x7ff));
      break;
    case 1:
      character = static_cast<std::uint32_t>(dice.from(0x800, 0xd7ff));
      break;
    case 2:
      character = static_cast<std::uint32_t>(dice.from(0x10000, 0x10ffff));
      break;
  }
  return utf8(character);
}

std::string random_level(Dice& dice) {
  constexpr const char* kWords[] = {
      "",    "a",      "room", "sensors", "measurements",     "temperature",
      "ab ", "$share", "$SYS", "x1",      "longer-level-name"};
  if (dice.happens(0.8)) return dice.one_of(kWords);
  std::string out;
  for (std::size_t count = dice.from(1, 8); count > 0; count--) out += random_character(dice);
  return out;
}

// ---- properties (MQTT 5.0 §2.2.2.2) ------------------------------------------------

Bytes with_length(const Bytes& properties) {
  return variable_byte_integer(static_cast<std::uint32_t>(properties.size())) + properties;
}

Bytes byte_property(std::uint8_t id, Dice& dice) {
  return {id, static_cast<std::uint8_t>(dice.from(0, 1))};
}
Bytes short_property(std::uint8_t id, Dice& dice) {
  return Bytes{id} + two_bytes(dice.from(1, 65'535));
}
Bytes long_property(std::uint8_t id, Dice& dice) {
  return Bytes{id} + dice.bytes(4);
}
// A property with a string, mostly short. A careless reader would look for an alias in its bytes.
Bytes string_property(std::uint8_t id, Dice& dice) {
  std::string value = dice.text(dice.happens(0.03) ? 3000 : 20);
  if (dice.happens(0.2)) value += "#";
  return Bytes{id} + utf8_string(value);
}
Bytes binary_property(std::uint8_t id, Dice& dice) {
  Bytes value = dice.bytes(dice.from(0, 12));
  if (dice.happens(0.3)) value = value + Bytes{0x23, 0x00, 0x01};
  return Bytes{id} + two_bytes(value.size()) + value;
}
Bytes user_property(Dice& dice) {
  return string_property(0x26, dice) + utf8_string(dice.text(20));
}

// Some of `all`, in any order, with user properties in between.
Bytes some_of(std::vector<Bytes> all, Dice& dice) {
  for (std::size_t count = dice.happens(0.3) ? dice.from(1, 3) : 0; count > 0; count--)
    all.push_back(user_property(dice));
  std::shuffle(all.begin(), all.end(), dice.random());
  Bytes out;
  for (const Bytes& property : all)
    if (dice.happens(0.4)) out = out + property;
  return out;
}

// ---- packets -----------------------------------------------------------------------

constexpr std::size_t kBrokenAlias = 4711;

class Writer {
 public:
  Writer(const SessionOptions& options, std::mt19937& random) : options_(options), dice_(random) {
    constexpr MqttVersion kVersions[] = {MqttVersion::k31, MqttVersion::k311, MqttVersion::k5,
                                         MqttVersion::k5};
    session_.version = options.version ? *options.version : dice_.one_of(kVersions);
    for (std::size_t i = 0; i < kMostAliases; i++)
      aliases_.push_back(static_cast<std::uint16_t>(dice_.happens(0.9) ? i + 1 : 65'535 - i));
  }

  Session write() {
    connect();
    session_.connect_length = session_.stream.size();
    for (std::size_t i = 0; i < options_.packets; i++) {
      if (dice_.happens(0.6))
        publish();
      else
        other_packet();
    }
    if (dice_.happens(0.5)) disconnect();
    return session_;
  }

 private:
  bool is_5() const { return session_.version == MqttVersion::k5; }

  void append(const Bytes& bytes) {
    session_.stream.insert(session_.stream.end(), bytes.begin(), bytes.end());
  }

  // MQTT 3.1.1 §3.1, MQTT 5.0 §3.1.
  void connect() {
    const bool old = session_.version == MqttVersion::k31;
    const bool will = dice_.happens(0.4), user = dice_.happens(0.5);
    const bool password = user && dice_.happens(0.7);
    const std::size_t will_qos = will ? dice_.from(0, 2) : 0;
    Bytes body = utf8_string(old ? "MQIsdp" : "MQTT");
    body.push_back(static_cast<std::uint8_t>(session_.version));
    body.push_back(
        static_cast<std::uint8_t>(user << 7 | password << 6 | will_qos << 3 | will << 2 | 2));
    body = body + two_bytes(dice_.from(0, 65'535));
    if (is_5())
      body =
          body + with_length(some_of({long_property(0x11, dice_), short_property(0x21, dice_),
                                      long_property(0x27, dice_), short_property(0x22, dice_),
                                      byte_property(0x19, dice_), byte_property(0x17, dice_),
                                      string_property(0x15, dice_) + binary_property(0x16, dice_)},
                                     dice_));
    body = body + utf8_string(std::string(dice_.from(1, 23), 'c'));
    if (will) {
      if (is_5())
        body =
            body + with_length(some_of({long_property(0x18, dice_), byte_property(0x01, dice_),
                                        long_property(0x02, dice_), string_property(0x03, dice_),
                                        string_property(0x08, dice_), binary_property(0x09, dice_)},
                                       dice_));
      const std::size_t length = dice_.happens(0.1) ? dice_.from(1000, 4000) : dice_.from(0, 30);
      body = body + utf8_string(random_topic(200, dice_.random())) + two_bytes(length) +
             message_bytes(length);
    }
    if (user) body = body + utf8_string(dice_.text(20));
    if (password) body = body + utf8_string(dice_.text(20));
    append(control_packet(kConnect, 0, body));
  }

  void publish() {
    if (dice_.happens(options_.mistakes)) return publish_by_mistake();
    const std::size_t alias = dice_.one_of(aliases_);
    const bool uses_alias = is_5() && dice_.happens(0.5);
    const auto known = bound_.find(alias);
    if (uses_alias && known != bound_.end() && dice_.happens(0.6)) {
      publish("", known->second, alias);
    } else {
      const std::string topic = draw_topic();
      if (uses_alias) bound_[alias] = topic;
      publish(topic, topic, uses_alias ? alias : 0);
    }
  }

  // `alias` 0: none. `topic` is the topic in the packet.
  void publish(std::string_view topic, std::optional<std::string> meant, std::size_t alias) {
    const int qos = static_cast<int>(dice_.from(0, 2));
    const bool again = qos > 0 && dice_.happens(0.1), retain = dice_.happens(0.1);
    Bytes body = utf8_string(topic);
    if (qos > 0) body = body + two_bytes(dice_.packet_id());
    if (is_5()) body = body + with_length(publish_properties(alias));
    body = body + message_bytes(message_length());
    session_.publishes.push_back(
        {.offset = session_.stream.size(), .qos = qos, .topic = std::move(meant)});
    append(control_packet(kPublish, again << 3 | qos << 1 | retain, body));
  }

  Bytes publish_properties(std::size_t alias) {
    std::vector<Bytes> all = {byte_property(0x01, dice_), long_property(0x02, dice_),
                              string_property(0x03, dice_), string_property(0x08, dice_),
                              binary_property(0x09, dice_)};
    if (alias == 0) return some_of(all, dice_);
    const Bytes in_front = dice_.happens(0.5) ? some_of({all[0], all[3], all[4]}, dice_) : Bytes{};
    const Bytes behind = dice_.happens(0.5) ? some_of({all[1], all[2]}, dice_) : Bytes{};
    return in_front + Bytes{0x23} + two_bytes(alias) + behind;
  }

  void publish_by_mistake() {
    const std::string kBroken[] = {
        "+",
        "#",
        "sensors/+/temperature",
        "measurements/#",
        "measurements/temperature+",
        std::string("nul\0", 4),
        std::string("\0nul", 4),
        "\xff",
        "cut/\xe2\x82",
        "\xc0\xaf",          // longer than necessary
        "\xed\xa0\x80",      // a surrogate
        "\xf4\x90\x80\x80",  // beyond the last character
        "\x80 alone",
        "a/\xe2\x28\xa1/b",
    };
    // An alias that was never set, or was set with such a topic.
    const std::size_t alias = is_5() && dice_.happens(0.5) ? kBrokenAlias : 0;
    if (dice_.happens(0.3)) return publish("", std::nullopt, alias);
    std::string topic = dice_.one_of(kBroken);
    if (dice_.happens(0.5)) topic = random_topic(300, dice_.random()) + "/" + topic;
    publish(topic, std::nullopt, alias);
  }

  std::string draw_topic() {
    if (!options_.topics.empty() && dice_.happens(0.5)) return dice_.one_of(options_.topics);
    if (!session_.publishes.empty() && dice_.happens(0.3)) {
      const auto& before = dice_.one_of(session_.publishes).topic;
      if (before) return *before;
    }
    return random_topic(options_.longest_topic, dice_.random());
  }

  // Lengths near those at which the remaining length grows by a byte, or frames end.
  std::size_t message_length() {
    constexpr std::size_t kEdges[] = {0, 1, 100, 110, 120, 127, 128, 1400, 16'370, 16'384};
    std::size_t length = dice_.from(0, 60);
    switch (dice_.from(0, 49)) {
      case 0:
        length = dice_.from(0, options_.longest_message);
        break;
      case 1:
      case 2:
        length = dice_.from(1000, 20'000);
        break;
      case 3:
      case 4:
      case 5:
      case 6:
        length = dice_.one_of(kEdges);
        break;
      default:
        if (dice_.happens(0.5)) length = dice_.from(0, 1500);
    }
    return std::min(length, options_.longest_message);
  }

  // Any bytes, or bytes that look like MQTT packets.
  Bytes message_bytes(std::size_t length) {
    if (dice_.happens(0.5)) return dice_.bytes(length);
    Bytes out;
    while (out.size() < length) {
      const std::string topic = std::string(kDecoy) + dice_.text(10);
      const Bytes more =
          dice_.happens(0.8) ? publish_packet(topic, dice_.text(20)) : Bytes{0xc0, 0};
      out.insert(out.end(), more.begin(), more.end());
    }
    out.resize(length);
    return out;
  }

  void other_packet() {
    switch (dice_.from(0, 4)) {
      case 0:
        return append(pingreq_packet());
      case 1:
        return subscribe();
      case 2:
        return unsubscribe();
      case 3:
        if (is_5()) return authenticate();
        return append(pingreq_packet());
      default:
        return acknowledge();
    }
  }

  Bytes reason_properties() { return with_length(some_of({string_property(0x1f, dice_)}, dice_)); }

  // MQTT 5.0 §3.4 to §3.7: the reason code may be missing, and so may the properties.
  void acknowledge() {
    constexpr PacketType kTypes[] = {kPuback, kPubrec, kPubrel, kPubcomp};
    const PacketType type = dice_.one_of(kTypes);
    Bytes body = two_bytes(dice_.packet_id());
    const std::size_t more = is_5() ? dice_.from(0, 2) : 0;
    if (more > 0) body.push_back(0x10);
    if (more > 1) body = body + reason_properties();
    append(control_packet(type, type == kPubrel ? 2 : 0, body));
  }

  std::string filter() {
    constexpr const char* kEnds[] = {"", "/#", "/+", "/+/x"};
    return random_topic(100, dice_.random()) + dice_.one_of(kEnds);
  }

  void subscribe() {
    Bytes body = two_bytes(dice_.packet_id());
    if (is_5())
      body = body +
             with_length(some_of({Bytes{0x0b} + variable_byte_integer(static_cast<std::uint32_t>(
                                                    dice_.from(1, 268'435'455)))},
                                 dice_));
    for (std::size_t count = dice_.from(1, 3); count > 0; count--)
      body = body + utf8_string(filter()) + Bytes{static_cast<std::uint8_t>(dice_.from(0, 2))};
    append(control_packet(kSubscribe, 2, body));
  }

  void unsubscribe() {
    Bytes body = two_bytes(dice_.packet_id());
    if (is_5()) body = body + with_length(some_of({}, dice_));
    for (std::size_t count = dice_.from(1, 3); count > 0; count--)
      body = body + utf8_string(filter());
    append(control_packet(kUnsubscribe, 2, body));
  }

  // MQTT 5.0 §3.15.
  void authenticate() {
    append(control_packet(
        kAuth, 0,
        Bytes{0x19} + with_length(string_property(0x15, dice_) + binary_property(0x16, dice_))));
  }

  void disconnect() {
    if (!is_5() || dice_.happens(0.5)) return append(disconnect_packet());
    append(control_packet(
        kDisconnect, 0,
        Bytes{0x04} + with_length(some_of(
                          {long_property(0x11, dice_), string_property(0x1f, dice_)}, dice_))));
  }

  const SessionOptions& options_;
  Dice dice_;
  Session session_{};
  std::vector<std::uint16_t> aliases_;        // the numbers in use
  std::map<std::size_t, std::string> bound_;  // to topics
};

}  // namespace

std::string random_topic(std::size_t longest, std::mt19937& random) {
  Dice dice(random);
  std::size_t wanted = dice.from(1, 60);
  if (dice.happens(0.1)) wanted = dice.from(1, 1536);
  if (dice.happens(0.02)) wanted = dice.from(1, longest);
  wanted = std::min(wanted, longest);
  std::string out = random_level(dice);
  while (out.size() < wanted) out += "/" + random_level(dice);
  // Does not split a character.
  std::size_t end = std::min(out.size(), longest);
  while (end < out.size() && end > 0 && (static_cast<std::uint8_t>(out[end]) & 0xc0) == 0x80) end--;
  out.resize(end);
  return out.empty() ? "t" : out;
}

Session three_publishes() {
  const Bytes alias{0x23, 0x00, 0x01};
  Session session{.version = MqttVersion::k5,
                  .stream = connect_packet(MqttVersion::k5),
                  .connect_length = 0,
                  .publishes = {}};
  session.connect_length = session.stream.size();
  const auto publish = [&](std::string_view topic, std::string_view meant, int qos,
                           const Bytes& properties) {
    session.publishes.push_back(
        {.offset = session.stream.size(), .qos = qos, .topic = std::string(meant)});
    session.stream =
        session.stream + publish_packet(topic, "m", {.qos = qos, .properties = properties});
  };
  publish("sensors/a", "sensors/a", 1, alias);
  publish("measurements/humidity", "measurements/humidity", 0, {0x01, 0x01});
  publish("", "sensors/a", 2, alias);
  return session;
}

Session random_session(const SessionOptions& options, std::mt19937& random) {
  return Writer(options, random).write();
}

}  // namespace remora
