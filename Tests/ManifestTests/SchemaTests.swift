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
    @Test func everyFieldIsReachable() throws {
        let text = """
            { "action": "buy", "confidence": 0.75, "fraction": 0.1, "exit_probability": 0.2, "next_check_seconds": 300, "valid_for_seconds": 60,
              "signals": [{ "name": "trend", "direction": "up", "confidence": 0.8 }, { "name": "funding", "direction": "down", "confidence": 0.333333333333 }],
              "wakes": [{ "condition": "price_above", "level": "37000.5" }, { "condition": "regime" }, { "condition": "move", "level": 0.02 }],
              "reason": "Because.", "memory": "Remember." }
            """
        let decision = try DecisionText(parsing: text)
        #expect(decision.action == .buy)
        #expect(decision.confidence == Fixed("0.75"))
        #expect(decision.fraction == Fixed("0.1"))
        #expect(decision.exitProbability == Fixed("0.2"))
        #expect(decision.nextCheckSeconds == 300)
        #expect(decision.validForSeconds == 60)
        #expect(decision.signals.map(\.direction) == [1, -1])
        #expect(decision.signals.last?.confidence == Fixed("0.33333333"))
        #expect(decision.wakes.map(\.condition) == [.priceAbove, .regime, .move])
        #expect(decision.wakes.first?.level == Fixed("37000.5"))
        #expect(decision.reason == "Because.")
        #expect(decision.memory == "Remember.")
        // The prompt names every key, and the keys the parser reads are the definition's.
        for field in DecisionDefinition.fields { #expect(DecisionDefinition.prompt.contains("- \(field.name) (")) }
        #expect(Set(try JSONValue(parsing: text).asObject?.names ?? []) == Set(DecisionDefinition.fields.map(\.name)))
    }

    static let refused = [
        "", "Sure! {\"action\":\"hold\"}", "{\"action\":\"hold\",\"confidence\":0.5}", "{\"action\":\"wait\",\"confidence\":0.5,\"reason\":\"x\"}",
        "{\"action\":\"buy\",\"confidence\":1.5,\"reason\":\"x\"}", "{\"action\":\"buy\",\"confidence\":0.5,\"reason\":\"x\",\"leverage\":10}",
        "{\"action\":\"buy\",\"confidence\":0.5,\"reason\":\"x\",\"wakes\":[{\"condition\":\"price_above\"}]}",
        "{\"action\":\"buy\",\"confidence\":0.5,\"reason\":\"x\",\"wakes\":[{\"condition\":\"price_above\",\"level\":\"about 5\"}]}",
        "{\"action\":\"buy\",\"confidence\":0.5,\"reason\":\"x\"}{\"action\":\"sell\",\"confidence\":0.5,\"reason\":\"x\"}",
        "{\"action\":\"buy\",\"action\":\"sell\",\"confidence\":0.5,\"reason\":\"x\"}",
        "{\"action\":\"buy\",\"confidence\":0.5,\"reason\":\"\(String(repeating: "x", count: 4001))\"}",
    ]

    @Test(arguments: refused) func refusesEverythingElse(_ text: String) {
        #expect(throws: DecisionText.Refusal.self) { try DecisionText(parsing: text) }
    }
}
