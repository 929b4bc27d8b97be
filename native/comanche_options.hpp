/*
 * The options of a component out of their JSON, and the error that set-up code throws. Part of comanche.hpp, which includes it.
 */
#ifndef COMANCHE_OPTIONS_HPP
#define COMANCHE_OPTIONS_HPP

#include "comanche.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>

namespace comanche {

/** A mistake in set-up, in words for the person who runs the stack. */
class Error : public std::runtime_error {
public:
    explicit Error(const std::string& what, int32_t result = COMANCHE_E_FAIL) : std::runtime_error(what), result_(result) {}
    int32_t result() const noexcept { return result_; }

private:
    int32_t result_;
};

/** The options of a component: a flat JSON object, whose names and types the runtime has checked against the description. */
class Options {
public:
    explicit Options(const char* json) {
        at_ = json ? json : "{}";
        expect('{');
        if (peek() != '}') {
            do {
                std::string name = text();
                expect(':');
                values_[name] = peek() == '"' ? text() : word();
            } while (next_is(','));
        }
        expect('}');
    }

    bool has(const std::string& name) const { return values_.count(name) != 0; }

    std::string get(const std::string& name, const std::string& otherwise) const {
        auto found = values_.find(name);
        return found == values_.end() ? otherwise : found->second;
    }

    uint64_t get(const std::string& name, uint64_t otherwise) const {
        auto found = values_.find(name);
        if (found == values_.end()) return otherwise;
        char* end = nullptr;
        errno = 0;
        uint64_t value = std::strtoull(found->second.c_str(), &end, 10);
        if (errno != 0 || *end != 0 || end == found->second.c_str()) throw Error(name + ": '" + found->second + "' is not a number", COMANCHE_E_INVALIDARG);
        return value;
    }

    bool get(const std::string& name, bool otherwise) const {
        auto found = values_.find(name);
        return found == values_.end() ? otherwise : found->second == "true";
    }

private:
    char peek() {
        while (*at_ == ' ' || *at_ == '\t' || *at_ == '\r' || *at_ == '\n') at_++;
        return *at_;
    }
    bool next_is(char c) {
        if (peek() != c) return false;
        at_++;
        return true;
    }
    void expect(char c) {
        if (!next_is(c)) throw Error(std::string("options: '") + c + "' was expected at '" + at_ + "'", COMANCHE_E_INVALIDARG);
    }
    std::string word() {
        const char* start = at_;
        while (*at_ && !std::strchr(",}] \t\r\n{[", *at_)) at_++;
        if (at_ == start) throw Error(std::string("options: a plain value was expected at '") + at_ + "'", COMANCHE_E_INVALIDARG);
        return std::string(start, at_);
    }
    std::string text() {
        expect('"');
        std::string result;
        for (; *at_ != '"'; at_++) {
            if (*at_ == 0) throw Error("options: a text does not end", COMANCHE_E_INVALIDARG);
            if (*at_ != '\\') {
                result += *at_;
                continue;
            }
            switch (*++at_) {
            case 'n': result += '\n'; break;
            case 't': result += '\t'; break;
            case 'r': result += '\r'; break;
            case 'b': result += '\b'; break;
            case 'f': result += '\f'; break;
            case 'u': append_utf8(result, unit()); break;
            case 0: throw Error("options: a text does not end", COMANCHE_E_INVALIDARG);
            default: result += *at_;
            }
        }
        at_++;
        return result;
    }
    // The four digits after "\u"; stops on the last one. A pair of surrogates is one character.
    uint32_t unit() {
        uint32_t code = four_digits();
        if (code >= 0xd800 && code < 0xdc00 && at_[1] == '\\' && at_[2] == 'u') {
            at_ += 2;
            code = 0x10000 + ((code - 0xd800) << 10) + (four_digits() - 0xdc00);
        }
        return code;
    }
    uint32_t four_digits() {
        uint32_t code = 0;
        for (int i = 0; i < 4; i++) {
            char c = *++at_;
            int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
            if (digit < 0) throw Error("options: four hexadecimal digits were expected", COMANCHE_E_INVALIDARG);
            code = code << 4 | static_cast<uint32_t>(digit);
        }
        return code;
    }
    static void append_utf8(std::string& to, uint32_t code) {
        auto put = [&](uint32_t byte) { to += static_cast<char>(byte); };
        if (code < 0x80) put(code);
        else if (code < 0x800) put(0xc0 | code >> 6), put(0x80 | (code & 63));
        else if (code < 0x10000) put(0xe0 | code >> 12), put(0x80 | (code >> 6 & 63)), put(0x80 | (code & 63));
        else put(0xf0 | code >> 18), put(0x80 | (code >> 12 & 63)), put(0x80 | (code >> 6 & 63)), put(0x80 | (code & 63));
    }

    const char* at_;
    std::map<std::string, std::string> values_;
};

} // namespace comanche

#endif /* COMANCHE_OPTIONS_HPP */
