import Foundation
import HostCore
import PluginKit
import Testing

@testable import HostManifest

@Suite struct SchemaTests {
    func shipped(_ name: String) throws -> String {
        try String(contentsOfFile: repository + "/Sources/PluginAPI/schemas/" + name, encoding: .utf8)
    }

    @Test func theShippedSchemaIsTheTable() throws {
        #expect(try shipped("plugins.v1.json") == ManifestSchema.text, "run: keel schema --write Sources/PluginAPI/schemas")
    }

    @Test func theShippedDecisionSchemaIsTheDefinition() throws {
        #expect(try shipped("decision.v1.json") == DecisionDefinition.schemaText, "run: keel schema --write Sources/PluginAPI/schemas")
    }

    @Test func theSchemaObeysItsOwnSubset() throws {
        let schema = try JSONSchema(ManifestSchema.value)
        let manifest = try JSONValue(parsing: goodManifest)
        #expect(schema.check(manifest).issues == [])
        let plugins = try String(contentsOfFile: repository + "/plugins.json", encoding: .utf8)
        #expect(try schema.check(JSONValue(parsing: plugins)).issues == [])
    }

    /// A manifest completed by the schema's defaults is the manifest completed by the program.
    @Test func theDefaultsOfTheSchemaAreTheProgramsOwn() throws {
        let schema = try JSONSchema(ManifestSchema.value)
        let completed = schema.check(try JSONValue(parsing: goodManifest)).value
        let report = check(completed.text(.pretty))
        #expect(report.text == "")
        #expect(report.manifest == check(goodManifest).manifest)
    }

    @Test func writtenOutItReadsTheSame() throws {
        let manifest = try #require(check(goodManifest, catalogue: TestCatalogue()).manifest)
        let again = check(manifest.json.text(.pretty), catalogue: TestCatalogue())
        #expect(again.text == "")
        #expect(again.manifest == manifest)
        // Two spellings, one manifest, one text to hash.
        let respelled = goodManifest.changing(#""deadline": "8s""#, #""shadow": false, "deadline": "8000ms""#)
        #expect(check(respelled, catalogue: TestCatalogue()).manifest?.json.text(.canonical) == manifest.json.text(.canonical))
    }

    /// Every example in the reference is checked.
    @Test func theExamplesOfTheReferenceAreValid() throws {
        let page = try String(contentsOfFile: repository + "/docs/manifest.md", encoding: .utf8)
        let blocks = page.components(separatedBy: "```json\n").dropFirst().compactMap { $0.components(separatedBy: "```").first }
        #expect(!blocks.isEmpty)
        let schema = try JSONSchema(ManifestSchema.value)
        for block in blocks {
            if block.hasPrefix("{\n  \"$schema\"") {
                #expect(check(block).text == "")
            } else {
                // A part: the keys it shows must be read without a problem where they belong.
                let part = try JSONValue(parsing: "{" + block + "}")
                let known = schema.check(part).issues.filter { if case .missing = $0.kind { false } else { true } }
                #expect(known == [], "\(block)")
            }
        }
    }
}

@Suite struct DecisionTests {
    static let good = """
        {"action":"BUY","size_fraction":0.1,"confidence":0.7,"exit_probability":null,"next_check_seconds":300,"valid_seconds":60,
         "signals":[{"name":"trend","direction":"UP","confidence":0.333333333333}],
         "wake_conditions":[{"kind":"PRICE_BELOW","level":95.5}],"memory_update":"watch 95","rationale":"higher highs"}
        """
    static let last = Fixed(raw: 100 * Fixed.scale)

    /// What the shipped schema takes the parser takes, and the other way round, for changes of every field.
    @Test func schemaAndParserAgree() throws {
        // Our own validator knows no lengths of lists and texts: those are the parser's alone.
        func reduced(_ value: JSONValue) -> JSONValue {
            if let object = value.asObject {
                return JSONValue(JSONObject(object.members.filter { $0.name != "maxItems" && $0.name != "maxLength" }.map { ($0.name, reduced($0.value)) }))
            }
            return value.asList.map { JSONValue($0.map(reduced)) } ?? value
        }
        let schema = try JSONSchema(reduced(try JSONValue(parsing: DecisionDefinition.schemaText)))
        let good = try JSONValue(parsing: Self.good)
        #expect(schema.check(good).issues == [])
        let answer = try DecisionAnswer.check(good, last: Self.last).get()
        #expect(answer.signals.first?.confidence == Fixed("0.33333333") && answer.wakes.count == 1)
        for name in DecisionDefinition.fields.map(\.name) {
            for wrong in [nil, JSONValue(-7), JSONValue(2_000_000), JSONValue(String(repeating: "x", count: 600)), JSONValue([]), JSONValue(JSONObject())] as [JSONValue?] {
                var changed = good
                changed.set(name, wrong)
                let refused = schema.check(changed).issues.contains { !$0.isWarning }
                let parsed = (try? DecisionAnswer.check(changed, last: Self.last).get()) != nil
                // The parser also knows what the fields mean together; the schema can't refuse less than the parser takes.
                if parsed { #expect(!refused, "\(name) \(String(describing: wrong))") }
                if refused { #expect(!parsed, "\(name) \(String(describing: wrong))") }
            }
        }
    }

    static let refused = [
        "", "Sure! \(good)", good + good, good.replacing("\"BUY\"", with: "\"WAIT\""), good.replacing("0.7", with: "1.5"),
        good.replacing("{\"action\"", with: "{\"leverage\":10,\"action\""), good.replacing("95.5", with: "\"about 95\""),
        good.replacing("\"action\":\"BUY\"", with: "\"action\":\"BUY\",\"action\":\"SELL\""),
        good.replacing("higher highs", with: String(repeating: "x", count: 4001)),
    ]

    @Test(arguments: refused) func refusesEverythingElse(_ text: String) {
        #expect(throws: DecisionProblems.self) { try DecisionAnswer.parse(text, last: Self.last).get() }
    }
}
